/**
 * `npm start` and `npm run demo`: builds if needed, then is the program, in this very process. The scripts say `exec`, so that the
 * shell that npm starts is replaced: npm hands a stop signal to that shell alone, which would die and leave the daemon behind.
 */
import { build } from "./build.js"

build({ ifNeeded: true })
await import("../dist/main.js")
