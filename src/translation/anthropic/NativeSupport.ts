/** Which endpoints answer Messages natively: what their profile says, less what they have shown since. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import { type Features, speaksNatively } from "./MessagesRequest.ts"

const dialect = "anthropic"

/** It refused its own route: not asked natively again until its status changes, when another server may stand there. */
export const refusedNatively = ({ refusedDialects }: Endpoint): void => {
  refusedDialects.add(dialect)
}

export const answersNatively = ({ profile, refusedDialects }: Endpoint, features: Features): boolean => {
  const support = profile?.anthropic
  return support?.enabled === true && !refusedDialects.has(dialect) && speaksNatively(support, features)
}
