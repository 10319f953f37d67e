/** What the families of /internal/metrics are put together from. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { AttemptedEndpoint } from "../../exchange/Exchange.ts"
import type { Family, Labels, Sample } from "../../telemetry/PrometheusText.ts"
import { endpointIds, plainId } from "../EndpointIds.ts"

export type Single = "gauge" | "counter"

export type LabelsOf = (endpoint: AttemptedEndpoint) => Labels

/** Percent; a rate without traffic has no sample rather than a false 0. */
export const rate = (good: number, total: number): number | undefined => (total === 0 ? undefined : (good / total) * 100)

/**
 * Labels of endpoints. Two endpoints with one name are told apart by a further label, and so is one that has left the
 * configuration while another bears its name.
 */
export const labelling = (endpoints: ReadonlyArray<Endpoint>): LabelsOf => {
  const ids = endpointIds(endpoints)
  const bearers = Map.groupBy(endpoints, ({ name }) => name)
  const known = new Map(
    endpoints.map((endpoint) => [
      endpoint as AttemptedEndpoint,
      (bearers.get(endpoint.name)?.length ?? 0) > 1
        ? { endpoint: endpoint.name, endpoint_id: ids.get(endpoint) ?? "" }
        : { endpoint: endpoint.name }
    ])
  )
  return (endpoint) =>
    known.get(endpoint) ??
    (bearers.has(endpoint.name) ? { endpoint: endpoint.name, endpoint_id: plainId(endpoint.url) } : { endpoint: endpoint.name })
}

export const single = (type: Single, name: string, help: string, samples: ReadonlyArray<Sample>): Family => ({
  name: `olla_${name}`,
  type,
  help,
  samples
})

export const one = (value: number | undefined, labels: Labels = {}): ReadonlyArray<Sample> =>
  value === undefined ? [] : [{ labels, value }]
