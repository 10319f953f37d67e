/** What a listed model's fields mean: parameter counts and state. */
import type { ListedModel } from "../profile/ListedModel.ts"

/** `7B` to `7b` and its count; `8x7B` to `8x7b` and the product; anything else unchanged and 0. */
export const parameterSize = (text: string): { readonly text: string; readonly count: number } => {
  const upper = text.trim().toUpperCase()
  const mixture = /^(\d+)X(\d+(?:\.\d+)?)B$/.exec(upper)
  if (mixture !== null) return { text: upper.toLowerCase(), count: Math.round(Number(mixture[1]) * Number(mixture[2]) * 1e9) }
  const match = /^(\d+(?:\.\d+)?)\s*([BM]?)$/.exec(upper)
  if (match === null) return { text, count: 0 }
  const value = Number(match[1])
  const decimal = (n: number) => n.toFixed(1).replace(/\.0$/, "")
  if (match[2] !== "M") return { text: `${decimal(value)}b`, count: Math.round(value * 1e9) }
  return { text: value >= 1000 ? `${decimal(value / 1000)}b` : `${value.toFixed(0)}m`, count: Math.round(value * 1e6) }
}

/** Text for a parameter count that a backend states exactly. */
export const parameterText = (count: number): string =>
  parameterSize(count >= 1e9 ? `${(count / 1e9).toFixed(1)}B` : `${Math.round(count / 1e6)}M`).text

export const stateOf = (model: ListedModel): string => model.details?.state ?? ((model.size ?? 0) > 0 ? "available" : "unknown")
