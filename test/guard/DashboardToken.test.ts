import { describe, expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { loadDashboardToken } from "../../src/guard/DashboardToken.ts"

const load = (policy: string, files: Readonly<Record<string, string>> = {}) => {
  const { config } = decodeConfig(`dashboard: {access_policy: ${policy}}`, "c.yaml", {})
  if (config === undefined) throw new Error("no configuration")
  return loadDashboardToken(config.dashboard.access_policy, {
    env: { SET: "from-env" },
    readFile: (path) => {
      const text = files[path]
      if (text === undefined) throw Object.assign(new Error("gone"), { code: "ENOENT" })
      return text
    }
  })
}

describe("the dashboard's token", () => {
  it.each([
    ["{}", undefined],
    ['{token: ""}', undefined],
    ["{token: plain}", "plain"],
    ['{token: "${SET}"}', "from-env"],
    ['{token: "${UNSET:-fallback}"}', "fallback"],
    ["{token_file: here}", "from-file"]
  ])("of %s is %s", (policy, token) => expect(load(policy, { here: " from-file\n" })).toEqual({ token, diagnostics: [] }))

  it.each([
    ["{token: a, token_file: here}", "token_file", "both set"],
    ["{token_file: gone}", "token_file", 'reading secret file "gone": no such file'],
    ["{token_file: empty}", "token_file", "is empty"],
    ['{token: "${UNSET}"}', "token", '"UNSET" is not set'],
    ["{token: two words}", "token", "no header can carry"]
  ])("of %s is an error", (policy, key, text) => {
    const { token, diagnostics } = load(policy, { here: "x", empty: "\n" })
    expect(token).toBeUndefined()
    expect(diagnostics).toEqual([
      expect.objectContaining({ severity: "error", path: `dashboard.access_policy.${key}`, message: expect.stringContaining(text) })
    ])
  })
})
