import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { stampVersion } from "../../scripts/stampVersion.js"
import { build } from "../../src/version.ts"

const source = readFileSync(join(import.meta.dirname, "..", "..", "src", "version.ts"), "utf8")

describe("a release build", () => {
  it("says what its builder said", () => {
    const env = {
      OLLA_BUILD_VERSION: "v1.2.3",
      OLLA_BUILD_COMMIT: "abc",
      OLLA_BUILD_DATE: "today",
      OLLA_BUILD_USER: 'j"$&',
      OLLA_BUILD_TOOL: "docker"
    }
    const stamped = stampVersion(source, env)
    for (const text of ['version: "v1.2.3"', 'commit: "abc"', 'date: "today"', 'user: "j\\"$&"', 'tool: "docker"', 'name: "Olla"'])
      expect(stamped).toContain(text)
  })

  it("keeps what nobody said, as a checkout does", () => {
    expect(stampVersion(source, { OLLA_BUILD_VERSION: "" })).toBe(source)
    expect(build).toMatchObject({ version: "v0.0.x", commit: "none", date: "nowish", user: "local", tool: "make" })
  })
})
