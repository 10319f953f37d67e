/** The table of `olla status`: one line an endpoint, for people. Pure. */
import type { EndpointsDocument, StatusDocument } from "./http/documents/StatusDocument.ts"
import { visible } from "./telemetry/LogRecord.ts"

type Endpoint = (typeof EndpointsDocument.Type)["endpoints"][number]

const head = ["NAME", "STATE", "IN FLIGHT", "MODELS", "P95", "WHY"]
/** Characters of a reason that are shown. */
const mostWhy = 120

const short = (text: string): string => (text.length <= mostWhy ? text : `${text.slice(0, mostWhy - 1)}…`)

const shownTime = (millis: number | undefined): string =>
  millis === undefined ? "-" : millis < 1000 ? `${millis}ms` : `${(millis / 1000).toFixed(1)}s`

/** What an operator said of it counts for more than how it is; that stands behind, as the reason. */
const stateOf = ({ admin, status }: Endpoint): string => (admin === "active" ? status : admin)

const whyOf = (endpoint: Endpoint): string => {
  const { admin, status, issues, last_error } = endpoint
  const parts = [
    admin === "active" ? "" : `by an operator; ${status}`,
    status === "healthy" && admin === "active" ? (issues ?? "") : "",
    endpoint.circuit_breaker === "closed" ? "" : `circuit breaker ${endpoint.circuit_breaker}`,
    last_error ?? ""
  ]
  return short(parts.filter((part) => part !== "").join("; ")) || "-"
}

const rows = ({ endpoints }: typeof EndpointsDocument.Type): ReadonlyArray<ReadonlyArray<string>> => [
  head,
  ...endpoints.map((endpoint) => [
    visible(endpoint.name),
    stateOf(endpoint),
    String(endpoint.active_connections),
    String(endpoint.model_count),
    shownTime(endpoint.latency_ms?.p95),
    visible(whyOf(endpoint))
  ])
]

const numbers = new Set([2, 3, 4])

const inColumns = (cells: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)))
  const line = (row: ReadonlyArray<string>) =>
    row.map((cell, column) => (numbers.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
  return cells.map((row) => `${line(row).join("  ").trimEnd()}\n`).join("")
}

/** `status` for the line above it. */
export const statusTable = (status: typeof StatusDocument.Type, endpoints: typeof EndpointsDocument.Type): string => {
  const { system, config } = status
  const { total_count: total, routable_count: routable } = endpoints
  const notes = [
    config.last_error === null ? [] : [`The last reload was refused: ${visible(config.last_error.message)}`],
    config.restart_needed.length === 0 ? [] : [`Counts from the next start on: ${config.restart_needed.join(", ")}`]
  ].flat()
  const source = config.source === "" ? "built-in defaults" : config.source
  return [
    `Olla ${system.version}, up ${system.uptime}, ${system.total_requests} request${system.total_requests === 1 ? "" : "s"}, configuration ${config.generation} of ${source}\n`,
    `${routable} of ${total} endpoints can be asked\n`,
    ...notes.map((note) => `${note}\n`),
    "\n",
    total === 0 ? "No endpoint is configured.\n" : inColumns(rows(endpoints))
  ].join("")
}
