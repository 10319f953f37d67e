/** Where chat completions are: relayed as they came but for endpoints that have none. */
import type { Learnt } from "../translation/Conversing.ts"
import { ChatSurface } from "./proxied/ChatSurface.ts"
import type { ProxyTarget } from "./proxied/PlainSurface.ts"
import type { RouteModule } from "./Routes.ts"
import type { Services } from "./Services.ts"

const paths = new Set(["/v1/chat/completions", "/chat/completions"])

export const chatRoutes = (services: Services, learnt: Learnt): Required<Pick<RouteModule, "surfaceOf">> & RouteModule => {
  const surface: ProxyTarget["surface"] = (context, target) => new ChatSurface(services, context, target, learnt)
  return {
    surfaceOf: (path) => (paths.has(path) ? surface : undefined),
    handle: () => false
  }
}
