/** Whether a refusal says that the server has not got the route, and not that something is wrong with what was asked. */
import { backendMessageOf } from "./openai/BackendError.ts"

const statuses = new Set([404, 405, 501])

/** An error about the model would be the same on every other route. */
export const isNoRoute = (status: number, body: string, model: string): boolean =>
  statuses.has(status) && !body.includes("model_not_found") && !backendMessageOf(body).includes(model)
