import { describe, expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { type InForce, settingsCell } from "../../src/config/Settings.ts"

const inForce = (text: string, folder: string): InForce => {
  const { config, originOf } = decodeConfig(text, "c.yaml", {})
  if (config === undefined) throw new Error("no configuration")
  return { config, folder, isWritten: (key) => originOf(key) !== "default" }
}

describe("the settings", () => {
  it("are replaced as one, for whoever holds them already", () => {
    const { settings, replace } = settingsCell(inForce("server: {port: 80}\n", "/one"))
    const seen = () => [settings.current().server.port, settings.folder, settings.isWritten("server.port"), settings.generation()]
    expect(seen()).toEqual([80, "/one", true, 1])
    replace(inForce("", "/two"))
    expect(seen()).toEqual([40114, "/two", false, 2])
  })
})
