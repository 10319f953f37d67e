/** Where the operator console will be: until this build has one, its address says so instead of seeming wrong. */
import { isConsolePath } from "../guard/AccessPolicy.ts"
import { discardBody } from "./listener/RequestBody.ts"
import type { RouteModule } from "./Routes.ts"

/** `/internal/ui` and everything below, while `dashboard.enabled` is true. */
export const consoleRoutes: RouteModule = {
  handle: (services, context, path) => {
    if (!isConsolePath(path) || !services.settings.current().dashboard.enabled) return false
    discardBody(services.guard, context, () => context.error("noConsole"))
    return true
  }
}
