/**
 * Every key of a profile file and the kind of its value, advisory ones included: a value of a
 * wrong kind fails the file, whether or not anything acts on it. Unknown keys pass; those that look like a slip are told.
 */
import { parseDuration } from "../config/Duration.ts"
import { nearest } from "../config/NearestWord.ts"
import type { YamlNode } from "../config/YamlTree.ts"

type Kind = "text" | "bool" | "int" | "number" | "duration"

type Shape =
  | Kind
  | { readonly list: Shape }
  /** Free names, values of one kind. */
  | { readonly map: Shape }
  | { readonly keys: Readonly<Record<string, Shape>> }

const texts: Shape = { list: "text" }

const requirements: Readonly<Record<string, Shape>> = {
  min_memory_gb: "number",
  recommended_memory_gb: "number",
  min_gpu_memory_gb: "number",
  estimated_load_time_ms: "int"
}

export const profileShape: Shape = {
  keys: {
    name: "text",
    version: "text",
    display_name: "text",
    description: "text",
    extends: "text",
    notes: texts,
    routing: {
      keys: { prefixes: texts, generic: "bool", generic_paths: "bool", refused_paths: { map: "text" }, refused_everywhere: { map: "text" } }
    },
    version_listing: { keys: { name: "text", place: "int" } },
    api: {
      keys: {
        openai_compatible: "bool",
        paths: texts,
        model_discovery_path: "text",
        listing_paths: { map: "text" },
        health_check_path: "text",
        enforce_paths: "bool",
        reasoning_fields: texts,
        thinking_switch: "text",
        extra_sampling: texts,
        prompt_cache_key: "bool",
        chat_support: { keys: { enabled: "bool" } },
        ollama_support: { keys: { enabled: "bool" } },
        embeddings: texts,
        responses_support: {
          keys: { enabled: "bool", responses_path: "text", limitations: texts, stateful: "bool", min_version: "text" }
        },
        anthropic_support: {
          keys: { enabled: "bool", messages_path: "text", limitations: texts, token_count: "bool", threads: "bool", min_version: "text" }
        }
      }
    },
    request: {
      keys: {
        response_format: "text",
        model_field_paths: texts,
        parsing_rules: {
          keys: {
            chat_completions_path: "text",
            completions_path: "text",
            generate_path: "text",
            model_field_name: "text",
            supports_streaming: "bool"
          }
        }
      }
    },
    metrics: {
      keys: {
        extraction: {
          keys: {
            enabled: "bool",
            source: "text",
            format: "text",
            paths: { map: "text" },
            calculations: { map: "text" },
            headers: { map: "text" }
          }
        }
      }
    },
    characteristics: {
      keys: {
        timeout: "duration",
        max_concurrent_requests: "int",
        default_priority: "int",
        streaming_support: "bool",
        fixed_model: "bool",
        prompt_cache_tokens: "int",
        auth: { keys: { types: texts, required: "bool", default_header: "text" } }
      }
    },
    signals: {
      keys: {
        sources: {
          list: {
            keys: {
              path: "text",
              format: "text",
              running: texts,
              waiting: texts,
              kv_used: texts,
              slots: texts,
              cache_tokens: texts,
              model_labels: texts,
              loaded: { keys: { list: "text", names: texts, field: "text", value: "text" } },
              asleep: "text"
            }
          }
        }
      }
    },
    detection: {
      keys: {
        user_agent_patterns: texts,
        headers: texts,
        response_patterns: texts,
        path_indicators: texts,
        default_ports: { list: "int" },
        proofs: {
          list: {
            keys: {
              path: "text",
              place: "int",
              lists: texts,
              lacks: "text",
              entry_fields: texts,
              owned_by: texts,
              text: "text",
              header: "text",
              anywhere: "bool",
              listing: "bool"
            }
          }
        }
      }
    },
    models: {
      keys: {
        name_format: "text",
        implied_tag: "text",
        capability_patterns: { map: texts },
        context_patterns: { list: { keys: { pattern: "text", context: "int" } } }
      }
    },
    path_indices: { map: "int" },
    resources: {
      keys: {
        model_sizes: { list: { keys: { patterns: texts, ...requirements } } },
        quantization: { keys: { multipliers: { map: "number" } } },
        defaults: { keys: { ...requirements, requires_gpu: "bool" } },
        concurrency_limits: { list: { keys: { min_memory_gb: "number", max_concurrent: "int" } } },
        timeout_scaling: { keys: { base_timeout_seconds: "int", load_time_buffer: "bool" } }
      }
    }
  }
}

const yes = /^(?:true|True|TRUE|y|Y|yes|Yes|YES|on|On|ON)$/
const no = /^(?:false|False|FALSE|n|N|no|No|NO|off|Off|OFF)$/

/** YAML 1.1 spellings included; `undefined`: neither. */
export const readBool = (text: string): boolean | undefined => (yes.test(text) ? true : no.test(text) ? false : undefined)

const isNumber = (text: string): boolean => text.trim() !== "" && Number.isFinite(Number(text.replace(/(?<=\d)_(?=\d)/g, "")))

const wanted: Readonly<Record<Kind, string>> = {
  text: "a text",
  bool: "true or false",
  int: "a whole number",
  number: "a number",
  duration: "a duration such as 90s or 2m"
}

const fits = (kind: Kind, text: string): boolean => {
  switch (kind) {
    case "text":
      return true
    case "bool":
      return readBool(text) !== undefined
    case "duration":
      return parseDuration(text) !== undefined
    default:
      return isNumber(text)
  }
}

export interface ShapeProblem {
  readonly line: number
  readonly message: string
}

export interface ShapeReading {
  /** The first value of a wrong kind: the file cannot be used. */
  readonly wrong: ShapeProblem | undefined
  /** Unknown keys that were probably meant to be known ones. */
  readonly slips: ReadonlyArray<ShapeProblem>
}

export const checkShape = (root: YamlNode): ShapeReading => {
  const slips: Array<ShapeProblem> = []
  let wrong: ShapeProblem | undefined
  const visit = (node: YamlNode, shape: Shape, path: string): void => {
    if (wrong !== undefined || (node.kind === "scalar" && node.value === null && !node.quoted)) return
    const refuse = (what: string) => {
      const shown = node.kind === "scalar" ? `, got ${JSON.stringify(node.text.slice(0, 60))}` : ""
      wrong = { line: node.at.line, message: `${path === "" ? "a profile" : path} must be ${what}${shown}` }
    }
    if (typeof shape === "string") {
      if (node.kind !== "scalar" || !fits(shape, node.text)) refuse(wanted[shape])
    } else if ("list" in shape) {
      if (node.kind !== "list") refuse("a list")
      else for (const [n, item] of node.items.entries()) visit(item, shape.list, `${path}[${n}]`)
    } else if (node.kind !== "map") refuse("a mapping of keys to values")
    else
      for (const [key, entry] of node.entries) {
        const inner = path === "" ? key : `${path}.${key}`
        const known = "map" in shape ? shape.map : Object.hasOwn(shape.keys, key) ? shape.keys[key] : undefined
        if (known !== undefined) visit(entry.node, known, inner)
        else if ("keys" in shape) {
          const meant = nearest(key, Object.keys(shape.keys))
          if (meant !== undefined && !node.entries.has(meant))
            slips.push({ line: entry.at.line, message: `unknown key ${inner}, did you mean ${meant}?` })
        }
      }
  }
  visit(root, profileShape, "")
  return { wrong, slips }
}
