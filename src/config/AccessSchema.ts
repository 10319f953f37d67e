/** Keys of the configuration that say who may ask and over which sockets: `access`, `server.tls` and `server.unix_socket`. */
import * as Schema from "effect/Schema"
import { bool, duration, int, key, optionalText, section, text, withDefault, word } from "./ConfigKey.ts"

const scalar = { type: ["string", "number", "boolean", "null"] }
const list = { type: ["array", "null"], items: scalar }
const rule = {
  anyOf: [list, { type: "object", properties: { include: list, exclude: list }, additionalProperties: false }, { type: "null" }]
}
const count = { type: ["integer", "null"], minimum: 0 }

/** Rules and limits, as entries, groups and anonymous clients have them alike. */
const limits = {
  models: { ...rule, description: "Models that may be used: patterns, or include and exclude." },
  endpoints: { ...rule, description: "The same for endpoints, by name." },
  requests_per_minute: { ...count, description: "0: no limit." },
  burst: { ...count, description: "Requests that may come at once. Default: requests_per_minute." },
  tokens_per_minute: { ...count, description: "Prompt without cached, and completion. 0: no limit." },
  max_concurrent: { ...count, description: "Requests under way at a time. 0: no limit." },
  class: { enum: ["high", "normal", "low", null], description: "Highest class of the queue. Default: normal." }
}

/** One entry of `keys`, for editors. */
const keyEntryJson = {
  type: "object",
  required: ["name"],
  additionalProperties: false,
  properties: {
    name: { type: ["string", "number"], pattern: "^[A-Za-z0-9._-]{1,64}$", description: "Who it is: stands in logs, metrics and answers." },
    hash: { type: "string", pattern: "^sha256:[0-9A-Fa-f]{64}$", description: "SHA-256 of the key as clients send it." },
    key: { type: "string", description: "The key itself, best as ${VAR}. 20 to 512 characters." },
    key_file: { type: "string", description: "File that holds the key." },
    previous: {
      type: ["object", "null"],
      additionalProperties: false,
      properties: { hash: { type: "string" }, until: { type: "string" } },
      description: "The key before a rotation, and when it ends."
    },
    group: { type: ["string", "null"], description: "One of groups: its keys share those limits, and both allow." },
    ...limits,
    expires: { type: ["string", "null"], description: "RFC 3339, or a date: its first second in UTC." },
    disabled: { type: ["boolean", "null"] },
    note: { type: ["string", "number", "null"], maxLength: 200, description: "For people; shown by `olla keys list` only." },
    networks: { ...list, description: "Addresses that are this client without a key: CIDRs, or unix." },
    users: { ...list, description: "Names in identity_header that are this client: patterns." },
    certificates: { ...list, description: "Client certificates that are this client: patterns on their names, or sha256:<hex>." },
    created: { type: ["string", "null"] },
    revoked: { type: ["string", "null"] },
    cut: { type: ["boolean", "null"], description: "With disabled: what runs ends too." }
  }
}

const entries = (doc: string, items: Record<string, unknown>, extra: { readonly secret?: boolean; readonly example: string }) =>
  withDefault(key(Schema.Array(Schema.Any), { kind: "entries", doc, json: items, ...extra }), [])

export const access = section({
  keys_file: text("", "File with the keys of clients: `olla keys add NAME` makes it. It is live: read again within a second of a change.", {
    example: "keys.yaml"
  }),
  keys: entries("Entries of the same form as in the keys file. They change with the configuration.", keyEntryJson, {
    secret: true,
    example: '[{name: ci, key: "${CI_KEY}"}]'
  }),
  api_key: optionalText("One key for everybody, an entry named default. ${VAR} is expanded.", { secret: true, example: '"${TEAM_KEY}"' }),
  api_key_file: optionalText("File that holds it.", { example: "/run/secrets/team_key" }),
  anonymous: withDefault(
    key(Schema.Any, {
      kind: "policy",
      doc: "Who asks without a key: deny, allow, or rules and limits that all of them share: models, endpoints, requests_per_minute, burst, tokens_per_minute, max_concurrent, class.",
      words: ["deny", "allow"],
      json: { type: "object", properties: limits, additionalProperties: false },
      example: "deny"
    }),
    "deny"
  ),
  identity_header: text("", "Header in which a trusted proxy says who the user is, for entries with users.", {
    example: "X-Forwarded-User"
  })
})

export const tls = section({
  cert_file: text("", "PEM chain, leaf first: server.port speaks HTTPS then. Read again within a second of a change.", {
    example: "/etc/olla/fullchain.pem"
  }),
  key_file: text("", "PEM key of the leaf; may be the same file.", { example: "/etc/olla/privkey.pem" }),
  key_password_file: text("", "File with the password of an encrypted key.", { example: "/run/secrets/tls_password" }),
  certificates: entries(
    "Further pairs, chosen by the name that a client asks for.",
    {
      type: "object",
      required: ["cert_file", "key_file"],
      additionalProperties: false,
      properties: { cert_file: { type: "string" }, key_file: { type: "string" } }
    },
    { example: "[{cert_file: /etc/olla/lab.pem, key_file: /etc/olla/lab.key}]" }
  ),
  client_ca_file: text("", "PEM authorities of client certificates.", { example: "/etc/olla/clients-ca.pem" }),
  client_auth: word(
    ["none", "request", "require"],
    "none",
    "Client certificates: request takes clients without one, or with one that does not verify, as having none; require ends their handshake."
  ),
  min_version: word(["1.2", "1.3"], "1.2", "Oldest TLS."),
  handshake_timeout: duration(10_000, "Time for a handshake.", { min: 1 }),
  redirect_port: int(0, "Port that answers plain HTTP by sending readers to https. 0: none.", { min: 0, max: 65535 })
})

export const unixSocket = section({
  path: text("", "Socket file to listen on besides the port, at most 107 bytes.", { example: "/run/olla/olla.sock" }),
  mode: text("0660", "Its mode, octal."),
  only: bool(false, "Listen on the socket alone, not on the port.")
})
