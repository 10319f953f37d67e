import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

/** Rooms whose tests start daemons and servers, and hold what an exchange does in time. Each file has a process of its own. */
const onSockets = ["test/contract/**", "test/proxy/**", "test/http/**"]

export default defineConfig({
  test: {
    globalSetup: ["test/temporaryFolder.ts"],
    // What fails hangs as long as this; a slow machine gets there late, but gets there.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: "forks",
    // Tests on sockets wait more than they compute: two of them find room on one core.
    maxWorkers: 2 * availableParallelism(),
    projects: [
      // Loading Effect again for every file would be more than half of the time that these take.
      {
        extends: true,
        test: { name: "rooms", include: ["test/**/*.test.ts"], exclude: onSockets, isolate: false, setupFiles: ["test/propertySeed.ts"] }
      },
      {
        extends: true,
        test: { name: "sockets", include: onSockets.map((folder) => `${folder}/*.test.ts`), setupFiles: ["test/propertySeed.ts"] }
      }
    ]
  }
})
