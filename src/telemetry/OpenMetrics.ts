/** Who gets Prometheus' text, and who OpenMetrics 1.0. Pure. */

export const contentTypes = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
} as const

export type TextForm = keyof typeof contentTypes

/** Other versions than these are not ours to send. */
const versions = new Set(["1.0.0", "0.0.1"])

/** How much `Accept` wants each; 0: it does not name it. */
const wishes = (accept: string): { readonly openMetrics: number; readonly text: number } => {
  let [openMetrics, text] = [0, 0]
  for (const part of accept.split(",")) {
    const [type = "", ...parameters] = part.split(";").map((piece) => piece.trim().toLowerCase())
    const value = (name: string) =>
      parameters
        .find((parameter) => parameter.startsWith(`${name}=`))
        ?.slice(name.length + 1)
        .replace(/^"(.*)"$/, "$1")
    const q = Number(value("q") ?? 1)
    const version = value("version")
    if (type === "application/openmetrics-text" && (version === undefined || versions.has(version))) openMetrics = Math.max(openMetrics, q)
    else if (type === "text/plain" || type === "text/*") text = Math.max(text, q)
  }
  return { openMetrics, text }
}

export const formOf = (accept: string): TextForm => {
  const { openMetrics, text } = wishes(accept)
  return openMetrics > text ? "openMetrics" : "prometheus"
}
