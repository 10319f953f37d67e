/** Console colours: SGR parameters, so a theme is data and the record's shape is elsewhere. */

export interface Theme {
  readonly time: string
  readonly key: string
  /** Plain values and words. */
  readonly message: string
  readonly number: string
  readonly endpoint: string
  readonly levels: Readonly<Record<"debug" | "info" | "warn" | "error", string>>
  readonly health: Readonly<Record<string, string>>
}

const health = (good: string, middling: string, bad: string, unsure: string): Theme["health"] => ({
  Healthy: good,
  Busy: middling,
  Warming: middling,
  "Rate Limited": middling,
  Offline: bad,
  Unhealthy: bad,
  "Config Error": bad,
  Unknown: unsure
})

const standard: Theme = {
  time: "90",
  key: "90",
  message: "0",
  number: "36",
  endpoint: "35",
  levels: { debug: "90", info: "36", warn: "33", error: "31" },
  health: health("32", "33", "31", "90")
}

const dark: Theme = {
  time: "38;5;245",
  key: "38;5;245",
  message: "38;5;252",
  number: "38;5;117",
  endpoint: "38;5;183",
  levels: { debug: "38;5;245", info: "38;5;117", warn: "38;5;221", error: "38;5;210" },
  health: health("38;5;120", "38;5;221", "38;5;210", "38;5;245")
}

const light: Theme = {
  time: "38;5;242",
  key: "38;5;242",
  message: "38;5;236",
  number: "38;5;25",
  endpoint: "38;5;90",
  levels: { debug: "38;5;242", info: "38;5;25", warn: "38;5;130", error: "38;5;124" },
  health: health("38;5;28", "38;5;130", "38;5;124", "38;5;242")
}

/** An unknown name is the default theme. */
export const themeOf = (name: string | undefined): Theme => (name === "dark" ? dark : name === "light" ? light : standard)
