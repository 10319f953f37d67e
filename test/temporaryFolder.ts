/** Everything that tests write goes into one folder, which goes when they are through. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export default (): (() => void) => {
  const folder = mkdtempSync(join(tmpdir(), "olla-test-"))
  for (const name of ["TMPDIR", "TEMP", "TMP"]) process.env[name] = folder
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}
