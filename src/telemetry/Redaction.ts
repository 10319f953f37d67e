/** One redactor for every sink: values of query parameters that carry secrets (http-api.md 15, security.md 12). */

const secret = new Set([
  "api_key",
  "api-key",
  "apikey",
  "token",
  "access_token",
  "refresh_token",
  "id_token",
  "key",
  "password",
  "secret",
  "client_secret",
  "auth",
  "authorization",
  "signature",
  "sig",
  "code"
])

const decoded = (name: string): string => {
  try {
    return decodeURIComponent(name.replaceAll("+", " "))
  } catch {
    return name
  }
}

/** Order and other pairs stay; a name without `=` is left alone. */
export const redactQuery = (query: string): string =>
  query === ""
    ? ""
    : query
        .split("&")
        .map((pair) => {
          const at = pair.indexOf("=")
          return at >= 0 && secret.has(decoded(pair.slice(0, at)).toLowerCase()) ? `${pair.slice(0, at)}=[REDACTED]` : pair
        })
        .join("&")
