/**
 * The command line. Cutting it up is `parseArgs`' of the runtime: a library of commands knows no `-config`, no `--flag=T`, and
 * would cost a health check a tenth of a second. What each command needs is loaded when it runs.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { banner, versionDetails } from "./banner.ts"
import { parseBackends } from "./config/Backends.ts"
import { parseDuration } from "./config/Duration.ts"
import { nearest } from "./config/NearestWord.ts"
import { keysLineProblem } from "./keysLine.ts"
import { stories } from "./simulator/Stories.ts"
import { type Command, commands, type Flag, type FlagName, flagOf, flags, shortUsage, usage } from "./usage.ts"

export interface CommandLine {
  readonly command: string
  /** What follows the command. */
  readonly words: ReadonlyArray<string>
  readonly configFile: string | undefined
  /** Values of `--backend` in their order. */
  readonly backends: ReadonlyArray<string>
  readonly on: ReadonlySet<FlagName>
  /** Of the other flags that take one. */
  readonly values: ReadonlyMap<FlagName, string>
}

export type Parsed =
  | { readonly _tag: "ok"; readonly line: CommandLine }
  | { readonly _tag: "wrong"; readonly message: string; readonly command: string | undefined }

/** The same words as in variables. */
const booleans: Readonly<Record<string, boolean>> = Object.fromEntries([
  ...["1", "t", "T", "true", "True", "TRUE"].map((word) => [word, true] as const),
  ...["0", "f", "F", "false", "False", "FALSE"].map((word) => [word, false] as const)
])

type Wrong = (message: string) => Parsed

const didYouMean = (word: string, known: Iterable<string>, say: (near: string) => string): string => {
  const near = nearest(word, known)
  return near === undefined ? "" : `; did you mean ${say(near)}?`
}

/** Flags are seen anywhere on the line, with one dash or two; the last one of a name counts. `--` ends them. */
export const parseArguments = (args: ReadonlyArray<string>): Parsed => {
  const end = args.indexOf("--")
  const before = end === -1 ? args : args.slice(0, end)
  const doubled = [...before.map((arg) => arg.replace(/^-(?=[^-=])/, "--")), ...(end === -1 ? [] : args.slice(end))]
  const options = Object.fromEntries(
    Object.entries(flags).flatMap(([name, flag]: [string, Flag]) => {
      const option = { type: flag.value === undefined ? ("boolean" as const) : ("string" as const), multiple: true }
      return flag.short === undefined
        ? [[name, option]]
        : [
            [name, option],
            [flag.short, option]
          ]
    })
  )
  const { tokens } = parseArgs({ args: doubled, options, strict: false, allowPositionals: true, tokens: true })
  const first = tokens.find((token) => token.kind === "positional")?.value
  const wrong: Wrong = (message) => ({ _tag: "wrong", message, command: first })
  const on = new Set<FlagName>()
  const words: Array<string> = []
  const backends: Array<string> = []
  const values = new Map<FlagName, string>()
  let configFile: string | undefined
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value)
    if (token.kind !== "option") continue
    const name = flagOf(token.name)
    if (name === undefined)
      return wrong(`flag provided but not defined: -${token.name}${didYouMean(token.name, Object.keys(flags), (near) => `--${near}`)}`)
    if (name === "config" || name === "backend") {
      if (token.value === undefined) return wrong(`flag needs an argument: -${token.name}`)
      if (name === "config") configFile = token.value
      else if (token.value !== "") backends.push(token.value)
      continue
    }
    if ((flags[name] as Flag).value !== undefined) {
      if (token.value === undefined || token.value === "") return wrong(`flag needs an argument: -${token.name}`)
      values.set(name, token.value)
      continue
    }
    const isOn = token.value === undefined ? true : booleans[token.value]
    if (isOn === undefined) return wrong(`invalid boolean value "${token.value}" for -${token.name}: write true or false`)
    // --help wins over every mistake on the line.
    if (name === "help" && isOn)
      return {
        _tag: "ok",
        line: { command: "help", words: first === undefined ? [] : [first], configFile: undefined, backends: [], on: new Set(), values }
      }
    if (isOn) on.add(name)
    else on.delete(name)
  }
  return judge({ command: words[0] ?? "serve", words: words.slice(1), configFile: configFile || undefined, backends, on, values }, wrong)
}

/** Words that only mean something behind a command, with the line that was probably meant. */
const second: ReadonlyMap<string, string> = new Map([
  ...["show", "init"].map((word) => [word, `config ${word}`] as const),
  ...["add", "list", "revoke", "rotate", "check"].map((word) => [word, `keys ${word}`] as const)
])

/** Unknown and superfluous words, and flags that a command does not have. */
const judge = (line: CommandLine, wrong: Wrong): Parsed => {
  const { command, words, on } = line
  if (!Object.hasOwn(commands, command)) {
    // The second word of a command alone, such as `olla init`.
    const whole = second.get(command.toLowerCase())
    const closest = whole ?? nearest(command, Object.keys(commands))
    return wrong(`unknown command "${command}"; ${closest === undefined ? '"olla help" lists them' : `the nearest one is "${closest}"`}`)
  }
  if (command === "help" && words[0] !== undefined && !Object.hasOwn(commands, words[0]))
    return wrong(`there is no command "${words[0]}"${didYouMean(words[0], Object.keys(commands), (near) => `"${near}"`)}`)
  for (const [name, flag] of Object.entries(flags) as ReadonlyArray<[FlagName, Flag]>)
    if (
      (on.has(name) || line.values.has(name) || (name === "backend" && line.backends.length > 0)) &&
      flag.commands?.includes(command) === false
    )
      return wrong(`--${name} belongs to ${inWords(flag.commands.map((each) => `"${each}"`))}, not to "${command}"`)
  if (command === "demo" && line.configFile !== undefined)
    return wrong('"demo" brings its own configuration: leave --config out, or use "serve"')
  const story = line.values.get("story")
  if (story !== undefined && !Object.hasOwn(stories, story))
    return wrong(`there is no story ${JSON.stringify(story)}: there are ${inWords(Object.keys(stories).map((each) => `"${each}"`))}`)
  const most = Object.hasOwn(commands, command) && (commands[command] as Command).words !== undefined ? (command === "keys" ? 3 : 1) : 0
  const extra = words[most]
  if (extra !== undefined) return wrong(`"${command}" does not take "${extra}"`)
  if (command === "config" && words[0] !== "show" && words[0] !== "init")
    return wrong(`"config" needs a word: ${words[0] === undefined ? "" : `unknown "${words[0]}", `}there are "show" and "init"`)
  if ((command === "drain" || command === "resume") && (words[0] ?? "") === "")
    return wrong(`"${command}" needs the name of an endpoint: "olla status" shows them`)
  if (command === "keys") {
    const problem = keysLineProblem(line)
    return problem === undefined ? { _tag: "ok", line } : wrong(problem)
  }
  const time = line.values.get("for")
  if (time !== undefined && /^\d+$/.test(time) && Number(time) > 0)
    return wrong(`--for ${time} needs a unit: write it as ${time}m or ${time}s`)
  if (time !== undefined && !((parseDuration(time) ?? 0) > 0))
    return wrong(`--for ${JSON.stringify(time)} is no time above 0: write it as 10m or 1h30m`)
  const url = line.values.get("url")
  if (url !== undefined && baseUrl(url) === undefined)
    return wrong(`--url ${JSON.stringify(url)} is no address: write it as http://gpu-host:40114`)
  return { _tag: "ok", line }
}

/** `http://` may be left out; `undefined`: it is none. */
export const baseUrl = (text: string): URL | undefined => {
  const whole = text.includes("://") ? text : `http://${text}`
  if (!URL.canParse(whole)) return undefined
  const url = new URL(whole)
  return /^https?:$/.test(url.protocol) && url.hostname !== "" ? url : undefined
}

/** `a`, `a and b`, `a, b and c`. */
const inWords = (words: ReadonlyArray<string>): string =>
  [words.slice(0, -1).join(", "), ...words.slice(-1)].filter((part) => part !== "").join(" and ")

export interface Streams {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Colours on the banner. */
  readonly isTerminal: boolean
}

/** Resolves with the exit code. */
export const main = async (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string | undefined>>,
  { out, err, isTerminal }: Streams
): Promise<number> => {
  const parsed = parseArguments(args)
  if (parsed._tag === "wrong") {
    err(`${parsed.message}\n\n${shortUsage(parsed.command)}`)
    return 2
  }
  const { command, words, configFile, backends: named, on, values } = parsed.line
  if (command === "help") {
    err(usage(words[0]))
    return 0
  }
  const head = banner(env, isTerminal)
  if (on.has("version") || env["OLLA_SHOW_VERSION"] === "true" || command === "version") {
    err(head + versionDetails())
    return 0
  }
  if (on.has("print-default-config")) {
    out(readFileSync(join(import.meta.dirname, "..", "config", "config.yaml"), "utf8"))
    return 0
  }
  const backends = named.flatMap((text) => parseBackends(text, "--backend"))
  const options = { configFile, env, cwd: process.cwd(), backends }
  if (on.has("validate-config") || command === "validate" || command === "config" || command === "healthcheck" || command === "routes") {
    const { healthcheck, routesCommand, showCommand, validateCommand, validateReport } = await import("./configCommands.ts")
    const named = { ...options, configFile: command === "validate" ? (words[0] ?? configFile) : configFile }
    if (on.has("validate-config")) {
      err(head)
      return validateReport(named, out)
    }
    if (command === "healthcheck") return healthcheck(options, err)
    if (command === "routes") return routesCommand(options, out)
    if (command === "config" && words[0] === "init") return (await import("./configInit.ts")).initCommand(options, out, err)
    if (command === "config") return showCommand(options, on.has("json"), out)
    return validateCommand(named, on.has("json"), out)
  }
  if (command === "keys") {
    const input = async () => {
      let text = ""
      for await (const chunk of process.stdin) text += chunk
      return text
    }
    return (await import("./keysCommand.ts")).keysCommand(parsed.line, options, { out, err, input })
  }
  if (["status", "drain", "resume", "probe", "reload"].includes(command)) {
    const url = values.get("url")
    const { operate } = await import("./operatorCommands.ts")
    return operate(
      {
        command: command as "status",
        endpoint: words[0],
        json: on.has("json"),
        url: url === undefined ? undefined : baseUrl(url),
        time: values.get("for"),
        reason: values.get("reason"),
        wait: on.has("wait"),
        force: on.has("force"),
        watch: on.has("watch")
      },
      options,
      { out, err, isTerminal }
    )
  }
  err(head)
  const serving = { configFile, env, backends, profile: on.has("profile") || env["OLLA_ENABLE_PROFILER"] === "true" }
  const story = values.get("story")
  if (story !== undefined) return (await import("./story.ts")).tellStory(story, serving)
  if (command === "demo") return (await import("./demo.ts")).demo(serving)
  return (await import("./startup.ts")).serve(serving)
}
