/** A response that knows its place among the open ones, and the request that it answers. */
import { type IncomingMessage, ServerResponse } from "node:http"
import type { RequestContext } from "../RequestContext.ts"
import type { RequestMessage } from "./RequestMessage.ts"

export class OpenResponse<Request extends IncomingMessage = RequestMessage> extends ServerResponse<Request> {
  place = -1
  /** Told when the connection has no more to do with this response: answered, or gone. */
  context: RequestContext | undefined
}
