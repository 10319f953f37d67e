import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/temporaryFolder.ts"],
    setupFiles: ["test/propertySeed.ts"],
    // What fails hangs as long as this; a slow machine gets there late, but gets there.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2
  }
})
