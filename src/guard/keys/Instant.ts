/** Moments as keys have them. */
const instant = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d))?$/

/** RFC 3339, or a date, whose first second in UTC it is. Epoch milliseconds. */
export const parseInstant = (text: string): number | undefined => {
  if (!instant.test(text)) return undefined
  const at = Date.parse(text.length === 10 ? `${text}T00:00:00Z` : text.replace(" ", "T").toUpperCase())
  // Date.parse takes the 30th of February for a day of March.
  const [year, month, day] = text.slice(0, 10).split("-").map(Number) as [number, number, number]
  const date = new Date(Date.UTC(year, month - 1, day))
  return Number.isFinite(at) && date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? at : undefined
}
