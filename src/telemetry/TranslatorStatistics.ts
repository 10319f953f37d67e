/** Statistics by translator, one record per request to it. */
import type { Exchange } from "../exchange/Exchange.ts"
import type { TranslatorTotals } from "./Statistics.ts"

class TranslatorRecord {
  readonly byMode = { passthrough: { success: 0, failure: 0 }, translation: { success: 0, failure: 0 } }
  readonly fallbacks: Record<string, number> = {}
  streaming = 0
  dropped = 0
  latencySum = 0
  backendErrors = 0
}

export class TranslatorStatistics {
  readonly #translators = new Map<string, TranslatorRecord>()

  /** `success`: anything but an answer of 500 and above or an error that the translator wrote itself. */
  ended(exchange: Exchange, success: boolean, latency: number): void {
    const { translator } = exchange
    if (translator === undefined) return
    let record = this.#translators.get(translator.name)
    if (record === undefined) {
      record = new TranslatorRecord()
      this.#translators.set(translator.name, record)
    }
    record.byMode[translator.mode][success ? "success" : "failure"]++
    if (success) record.latencySum += latency
    if (exchange.stream === true) record.streaming++
    if (translator.dropped !== "") record.dropped++
    if ((exchange.lastAttempt?.status ?? 0) >= 400) record.backendErrors++
    const reason = translator.fallbackReason
    if (reason !== "") record.fallbacks[reason] = (record.fallbacks[reason] ?? 0) + 1
  }

  totals(): ReadonlyArray<TranslatorTotals> {
    return [...this.#translators].map(totalsOf).sort((a, b) => b.totalRequests - a.totalRequests || (a.name < b.name ? -1 : 1))
  }
}

const totalsOf = ([name, record]: readonly [string, TranslatorRecord]): TranslatorTotals => {
  const { passthrough, translation } = record.byMode
  const successes = passthrough.success + translation.success
  const failures = passthrough.failure + translation.failure
  return {
    name,
    totalRequests: successes + failures,
    successfulRequests: successes,
    failedRequests: failures,
    passthroughRequests: passthrough.success + passthrough.failure,
    translationRequests: translation.success + translation.failure,
    streamingRequests: record.streaming,
    nonStreamingRequests: successes + failures - record.streaming,
    fallbackNoCompatibleEndpoints: record.fallbacks["no_compatible_endpoints"] ?? 0,
    fallbackTranslatorDoesNotSupportPassthrough: record.fallbacks["translator_does_not_support_passthrough"] ?? 0,
    fallbackCannotPassthrough: record.fallbacks["cannot_passthrough"] ?? 0,
    backendErrors: record.backendErrors,
    averageLatency: successes === 0 ? 0 : Math.trunc(record.latencySum / successes),
    dropped: record.dropped,
    byMode: { passthrough: { ...passthrough }, translation: { ...translation } }
  }
}
