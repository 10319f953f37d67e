/** /internal/stats/keys: what each client may do and has done. No document has any part of a key. */
import * as Schema from "effect/Schema"
import { Count, Timestamp } from "./Values.ts"

const Limit = Schema.NullOr(Count)

const fields = {
  requests: Count.annotate({ description: "That were let in" }),
  failures: Count,
  refused: Schema.Struct({ requests: Count, tokens: Count, concurrency: Count, model: Count }).annotate({
    description: "By its own limits and rules"
  }),
  in_flight: Count,
  tokens_in: Count.annotate({ description: "Of prompts, cached ones among them" }),
  tokens_cached: Count,
  tokens_out: Count,
  tokens_estimated: Count.annotate({ description: "Those of all of these that no backend counted" }),
  last_used: Schema.NullOr(Timestamp),
  limits: Schema.Struct({
    requests_per_minute: Limit,
    requests_remaining: Limit,
    tokens_per_minute: Limit,
    tokens_remaining: Limit,
    max_concurrent: Limit
  }).annotate({ description: "null: there is no such limit" }),
  models: Schema.Record(Schema.String, Schema.Struct({ requests: Count, tokens_in: Count, tokens_out: Count })).annotate({
    description: "50 at most, the rest as `other`"
  })
}

export const KeyFigures = Schema.Struct({
  name: Schema.String,
  group: Schema.NullOr(Schema.String),
  state: Schema.Literals(["active", "disabled", "expired", "revoked"]),
  expires: Schema.NullOr(Timestamp),
  ...fields
}).annotate({ identifier: "KeyFigures" })

export const KeysDocument = Schema.Struct({
  timestamp: Timestamp,
  since: Timestamp.annotate({ description: "When counting began: a restart begins anew" }),
  keys: Schema.Array(KeyFigures),
  anonymous: Schema.Struct(fields).annotate({ identifier: "AnonymousFigures" }),
  refused: Schema.Record(Schema.String, Count).annotate({ description: "Answers of 401, 403 and 429, by code" })
}).annotate({ identifier: "Keys" })
