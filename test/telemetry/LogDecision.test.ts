import { describe, expect, it } from "vitest"
import { bootstrapLogging, decideLogging, fileSettings, isColoured } from "../../src/telemetry/LogDecision.ts"

const configured = { level: "info", format: "json", output: "stdout" } as const
const nothing = () => false
const everything = () => true

describe("colours", () => {
  it.each([
    [{ NO_COLOR: "1", FORCE_COLOR: "1" }, true, false],
    [{ FORCE_COLOR: "0", OLLA_FORCE_COLORS: "true" }, true, false],
    [{ FORCE_COLOR: "1" }, false, true],
    [{ OLLA_FORCE_COLORS: "TRUE" }, false, true],
    [{ OLLA_FORCE_COLORS: "1" }, true, false],
    [{ NO_COLOR: "" }, true, true],
    [{}, false, false]
  ])("with %o on a terminal %s are %s", (env, terminal, on) => expect(isColoured(env, terminal)).toBe(on))
})

describe("the form", () => {
  it.each([
    ["the variable wins over a terminal", { OLLA_LOGGING_FORMAT: "json" }, configured, everything, true, "json"],
    ["a terminal gets text whatever the file says", {}, configured, everything, true, "pretty"],
    ["without colours as plain text", { NO_COLOR: "1" }, configured, everything, true, "text"],
    ["elsewhere the file decides", {}, { ...configured, format: "text" as const }, everything, false, "text"],
    ["and JSON is the default", {}, configured, nothing, false, "json"],
    ["the bootstrap variable counts where nothing else speaks", { OLLA_PRETTY_LOGS: "false" }, configured, nothing, true, "json"],
    ["in both directions", { OLLA_PRETTY_LOGS: "1" }, configured, nothing, false, "text"],
    ["but not against the file", { OLLA_PRETTY_LOGS: "true" }, configured, everything, false, "json"]
  ] as const)("%s", (_name, env, logging, written, terminal, form) => {
    expect(decideLogging(logging, written, env, terminal).form).toBe(form)
  })
})

describe("level and file", () => {
  it("takes the bootstrap level only where nothing else was said", () => {
    expect(decideLogging(configured, nothing, { OLLA_LOG_LEVEL: "WARNING" }, false).level).toBe("warn")
    expect(decideLogging(configured, everything, { OLLA_LOG_LEVEL: "debug" }, false).level).toBe("info")
    expect(decideLogging(configured, nothing, { OLLA_LOG_LEVEL: "loud" }, false).level).toBe("info")
  })

  it("opens a file only when somebody asked for one", () => {
    expect(decideLogging(configured, nothing, {}, false).file).toBe(undefined)
    expect(decideLogging(configured, nothing, { OLLA_FILE_OUTPUT: "true" }, false).file).toBeDefined()
    expect(decideLogging({ ...configured, output: "file" }, everything, {}, false).file).toBeDefined()
    expect(decideLogging(configured, everything, { OLLA_FILE_OUTPUT: "true" }, false).file).toBe(undefined)
    expect(bootstrapLogging({}, false).file).toBe(undefined)
  })

  it("reads rotation from the environment, with 0 MB as 100", () => {
    expect(fileSettings({})).toEqual({ folder: "./logs", maxSize: 10 * 1024 * 1024, maxBackups: 7, maxAge: 14 })
    expect(fileSettings({ OLLA_LOG_DIR: "/x", OLLA_LOG_SIZE_MB: "0", OLLA_LOG_MAX_BACKUPS: "0", OLLA_LOG_MAX_AGE_DAYS: "no" })).toEqual({
      folder: "/x",
      maxSize: 100 * 1024 * 1024,
      maxBackups: 0,
      maxAge: 14
    })
  })

  it("starts as text at info", () => {
    expect(bootstrapLogging({}, false)).toMatchObject({ level: "info", form: "text" })
    expect(bootstrapLogging({ OLLA_PRETTY_LOGS: "false", OLLA_LOG_LEVEL: "error" }, true)).toMatchObject({ level: "error", form: "json" })
  })
})
