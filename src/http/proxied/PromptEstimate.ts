/** How many tokens a prompt has, as far as its size tells. */
import type { Body } from "../listener/RequestBody.ts"

const bytesPerToken = 4
/** An image's bytes say nothing of its tokens. */
const mostWithImage = 4_000

const imageMarks = ["image", "images"].map((word) => Buffer.from(`"${word}`))

const hasImage = ({ chunks }: Body): boolean => chunks.some((chunk) => imageMarks.some((mark) => chunk.includes(mark)))

export const promptEstimate = (body: Body): number => {
  const tokens = Math.ceil(body.size / bytesPerToken)
  return tokens > mostWithImage && hasImage(body) ? mostWithImage : tokens
}
