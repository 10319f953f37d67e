import { describe, expect, it } from "vitest"
import { dashboardLine, dashboardUrl } from "../../src/http/DashboardAddress.ts"

describe("the dashboard's address", () => {
  it.each([
    ["localhost", "http://localhost:40114/internal/ui/"],
    ["", "http://localhost:40114/internal/ui/"],
    ["0.0.0.0", "http://localhost:40114/internal/ui/"],
    ["::", "http://localhost:40114/internal/ui/"],
    ["[::]", "http://localhost:40114/internal/ui/"],
    ["::1", "http://[::1]:40114/internal/ui/"],
    ["[::1]", "http://[::1]:40114/internal/ui/"],
    ["10.0.0.5", "http://10.0.0.5:40114/internal/ui/"],
    ["no host", undefined]
  ])("of %j is %s", (host, url) => {
    expect(dashboardUrl(host, 40114)).toBe(url)
  })

  it("is ready, or says that its assets are not built", () => {
    expect(dashboardLine("", 1, true)).toBe("Admin dashboard ready - http://localhost:1/internal/ui/")
    expect(dashboardLine("", 1, false)).toMatch(/not built/)
    expect(dashboardLine("", 1, false)).not.toMatch(/ready/)
    expect(dashboardLine("a b", 1, true)).toBeUndefined()
  })
})
