/** /internal/status/models and /olla/models/{id}: what is known of models. */
import * as Schema from "effect/Schema"
import { Ago, Bytes, Count, EndpointId, Timestamp } from "./Values.ts"

export const InventoryModel = Schema.Struct({
  name: Schema.String,
  type: Schema.optionalKey(Schema.String).annotate({ examples: ["llm", "vlm", "embeddings"] }),
  family: Schema.optionalKey(Schema.String),
  size: Schema.optionalKey(Bytes),
  params: Schema.optionalKey(Schema.String).annotate({ examples: ["8B"] }),
  quant: Schema.optionalKey(Schema.String).annotate({ examples: ["Q4_K_M"] }),
  last_seen: Ago,
  last_seen_at: Schema.optionalKey(Timestamp),
  endpoints: Schema.Array(Schema.String).annotate({ description: "Names" }),
  endpoint_ids: Schema.optionalKey(Schema.Array(EndpointId)).annotate({ description: "Paired with `endpoints`" }),
  aliases: Schema.optionalKey(Schema.Array(Schema.String)).annotate({ description: "Other names of the same unified model" }),
  capabilities: Schema.optionalKey(Schema.Array(Schema.String))
}).annotate({ identifier: "InventoryModel" })

export const ModelGroup = Schema.Struct({
  family: Schema.String,
  models: Schema.Array(InventoryModel),
  endpoints: Schema.Array(Schema.String),
  model_count: Count
}).annotate({ identifier: "ModelGroup" })

export const InventoryDocument = Schema.Struct({
  timestamp: Timestamp,
  models_by_family: Schema.Record(Schema.String, Schema.Array(Schema.String)).annotate({
    description: "Names by family; `unknown` collects the rest"
  }),
  recent_models: Schema.Array(InventoryModel).annotate({ description: "At most ten, last seen first" }),
  model_groups: Schema.optionalKey(Schema.Array(ModelGroup)).annotate({ description: "With `detailed=true&group=family` only" }),
  total_models: Count,
  total_families: Count,
  total_endpoints: Count.annotate({ description: "Endpoints that have listed models" })
}).annotate({ identifier: "Inventory" })

export const ModelDocument = Schema.Struct({
  id: Schema.String.annotate({ description: "The unified id", examples: ["qwen/3:8b-q4km"] }),
  family: Schema.String,
  variant: Schema.String,
  parameter_size: Schema.String,
  parameter_count: Count,
  quantization: Schema.String,
  format: Schema.String,
  max_context_length: Schema.optionalKey(Count),
  total_disk_size: Bytes,
  last_seen: Ago,
  aliases: Schema.Array(Schema.String),
  endpoints: Schema.Array(Schema.String).annotate({ description: "Names" }),
  loaded_endpoints: Schema.Array(Schema.String),
  capabilities: Schema.Array(Schema.String)
}).annotate({ identifier: "Model" })
