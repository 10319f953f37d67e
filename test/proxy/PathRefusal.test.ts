/** What errors of known servers say that is not there. */
import { expect, it } from "vitest"
import { missingBy } from "../../src/proxy/PathRefusal.ts"

it.each([
  [404, "", "route"],
  [404, "404 page not found", "route"],
  [404, "<html><body>nothing here</body></html>", "route"],
  [404, '{"detail":"Not Found"}', "route"],
  [404, '{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}', "route"],
  [404, '{"error":{"message":"Invalid URL (POST /v1/responses)"}}', "route"],
  [405, '{"detail":"Method Not Allowed"}', "route"],
  [501, '{"error":"not for model big"}', "route"],
  [200, '{"error":"Unexpected endpoint or method. (POST /v1/messages)"}', "route"],
  [200, '{"error":"busy"}', "unclear"],
  [404, '{"error":"model \'big\' not found"}', "model"],
  [404, '{"error":{"code":"model_not_found","message":"no such thing"}}', "model"],
  [404, '{"error":"BIG is not here"}', "model"],
  [404, '{"error":"bigger is not here"}', "unclear"],
  [404, '{"error":{"message":"Response with id resp_1 not found."}}', "unclear"],
  [404, '{"half', "unclear"]
] as const)("%i %s: %s", (status, body, missing) => {
  expect(missingBy(status, body, "big")).toBe(missing)
})
