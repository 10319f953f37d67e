/** The last line of a start with a dashboard (configuration.md 1.3, step 10). */

/** Where it is reached from this machine; `undefined`: that cannot be said. */
export const dashboardUrl = (host: string, port: number): string | undefined => {
  const plain = host.replace(/^\[(.*)\]$/, "$1")
  if (/[\s/@[\]]/.test(plain) || !(port > 0)) return undefined
  const shown = plain === "" || plain === "0.0.0.0" || plain === "::" ? "localhost" : plain
  return `http://${shown.includes(":") ? `[${shown}]` : shown}:${port}/internal/ui/`
}

export const dashboardLine = (host: string, port: number, isBuilt: boolean): string | undefined => {
  const url = dashboardUrl(host, port)
  if (url === undefined) return undefined
  return isBuilt ? `Admin dashboard ready - ${url}` : `Admin dashboard at ${url} (assets not built - run npm run build)`
}
