/** What operators ask for, and what they are answered: drain, resume, probe, reload. */
import * as Schema from "effect/Schema"
import { ConfigFinding } from "./StatusDocument.ts"

/** The body of an action; without one everything is as when absent. */
export const ActionRequest = Schema.Struct({
  for: Schema.optionalKey(Schema.String).annotate({
    description: "Drain only: resumes by itself after this time. Longer than nothing; absent: until it is resumed",
    examples: ["10m"]
  }),
  force: Schema.optionalKey(Schema.Boolean).annotate({ description: "Drain an endpoint although it is the last one of some model" }),
  reason: Schema.optionalKey(Schema.String).annotate({ description: "Stands in the log record; 200 characters are kept" })
}).annotate({ identifier: "ActionRequest" })

export const ReloadedDocument = Schema.Struct({
  generation: Schema.Int.annotate({ description: "1 at the start, one more with each reload that changed anything" }),
  changed: Schema.Array(Schema.String).annotate({ description: "Keys; secrets' too, never their values. Empty: all is as it was" }),
  restart_needed: Schema.Array(Schema.String).annotate({ description: "Keys that count from the next start on" })
}).annotate({ identifier: "Reloaded" })

export const ActionRefusal = Schema.Struct({
  code: Schema.Literals(["forbidden", "unauthorised", "not_found", "ambiguous", "bad_request", "models_lost", "config_invalid"]),
  message: Schema.String.annotate({ description: "What is wrong, and the way out" }),
  nearest: Schema.optionalKey(Schema.String).annotate({ description: "With `not_found`: the endpoint that was probably meant" }),
  ids: Schema.optionalKey(Schema.Array(Schema.String)).annotate({ description: "With `ambiguous`: the endpoints of this name" }),
  models: Schema.optionalKey(Schema.Array(Schema.String)).annotate({ description: "With `models_lost`: what nobody else can serve now" }),
  findings: Schema.optionalKey(Schema.Array(ConfigFinding)).annotate({
    description: "With `config_invalid`: as `olla validate --json` has them"
  })
}).annotate({ identifier: "ActionRefusal", description: "An action that was not done; nothing has changed" })
