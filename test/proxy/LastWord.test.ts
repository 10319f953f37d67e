import { expect, it } from "vitest"
import { endsWithLastWord } from "../../src/proxy/LastWord.ts"

it.each([
  ["data: [DONE]\n\n", true],
  ["data:[DONE]\r\n\r\n", true],
  ["data: {}\n\ndata: [DONE]\n\n", true],
  ["e\r\ndata: [DONE]\n\n\r\n", true],
  ["e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", true],
  ["data: [DONE]", true],
  ["", false],
  ["data: {}\n\n", false],
  ["data: [DONE]\n\ndata: {}\n\n", false],
  ['data: {"content":"data: [DONE]"}\n\n', false]
])("of %j is %s", (piece, is) => {
  expect([endsWithLastWord(piece), endsWithLastWord(Buffer.from(piece))]).toEqual([is, is])
})
