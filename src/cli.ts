/** The command line: sub-commands and flags (configuration.md 1, README ruling 15). Light ones load nothing of the daemon. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { nearest } from "./config/KeySuggestion.ts"
import { build } from "./version.ts"

const commands: Readonly<Record<string, string>> = {
  serve: "serve requests (the default)",
  server: "the same as serve",
  validate: "validate [file] [--json]: tell every mistake in a configuration",
  config: "config show: the configuration in force and where each value comes from",
  demo: "serve a simulated fleet",
  healthcheck: "ask the local daemon whether it is alive; for containers",
  version: "print what this build is"
}

interface Flags {
  config: string | undefined
  validateConfig: boolean
  version: boolean
  profile: boolean
  printDefaultConfig: boolean
  help: boolean
  json: boolean
}

type Parsed =
  | { readonly _tag: "ok"; readonly words: ReadonlyArray<string>; readonly flags: Flags }
  | { readonly _tag: "wrong"; readonly message: string }

const booleans: Readonly<Record<string, keyof Flags>> = {
  "validate-config": "validateConfig",
  version: "version",
  profile: "profile",
  "print-default-config": "printDefaultConfig",
  help: "help",
  h: "help",
  json: "json"
}

const booleanWords: Readonly<Record<string, boolean>> = Object.fromEntries([
  ...["1", "t", "T", "true", "True", "TRUE"].map((word) => [word, true] as const),
  ...["0", "f", "F", "false", "False", "FALSE"].map((word) => [word, false] as const)
])

/** Flags anywhere on the line, with one dash or two; the last one of a name wins. */
export const parseArguments = (args: ReadonlyArray<string>): Parsed => {
  const flags: Flags = {
    config: undefined,
    validateConfig: false,
    version: false,
    profile: false,
    printDefaultConfig: false,
    help: false,
    json: false
  }
  const words: Array<string> = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string
    if (!arg.startsWith("-") || arg === "-") {
      words.push(arg)
      continue
    }
    const [name = "", value] = splitOnce(arg.replace(/^--?/, ""))
    if (name === "c" || name === "config") {
      const path = value ?? args[++i]
      if (path === undefined) return { _tag: "wrong", message: `flag needs an argument: -${name}` }
      flags.config = path
      continue
    }
    const flag = booleans[name]
    if (flag === undefined) return { _tag: "wrong", message: `flag provided but not defined: -${name}` }
    const on = value === undefined ? true : booleanWords[value]
    if (on === undefined) return { _tag: "wrong", message: `invalid boolean value "${value}" for -${name}` }
    ;(flags[flag] as boolean) = on
  }
  return { _tag: "ok", words, flags }
}

const splitOnce = (text: string): [string, string | undefined] => {
  const at = text.indexOf("=")
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

const usage = (): string => `Usage: olla [command] [flags]

Commands:
${Object.entries(commands)
  .map(([name, text]) => `  ${name.padEnd(12)} ${text}`)
  .join("\n")}

Flags:
  -c, --config PATH         use exactly this configuration file
  --validate-config         check configuration, models.yaml and profiles; exit 0 or 1
  --print-default-config    print the shipped configuration
  --version                 print what this build is
  --profile                 start the profiling server on localhost:19841
  -h, --help                this text
`

const banner = (): string => {
  const centre = (text: string) =>
    `| ${" ".repeat(Math.floor((66 - text.length) / 2))}${text}${" ".repeat(Math.ceil((66 - text.length) / 2))} |`
  const line = `+${"-".repeat(68)}+`
  return [line, centre(`${build.name} ${build.version}`), centre("github.com/thushan/olla"), line, ""].join("\n")
}

const versionDetails = (): string =>
  [
    `Commit: ${build.commit}`,
    `Built: ${build.date}`,
    `Using: ${build.tool}`,
    `With: node ${process.version}`,
    `For: ${process.platform}`,
    `On: ${process.arch}`,
    `By: ${build.user}`,
    ""
  ].join("\n")

/** Resolves with the exit code. */
export const main = async (args: ReadonlyArray<string>, env: Readonly<Record<string, string | undefined>>): Promise<number> => {
  const parsed = parseArguments(args)
  if (parsed._tag === "wrong") {
    process.stderr.write(`${parsed.message}\n${usage()}`)
    return 2
  }
  const { flags, words } = parsed
  const command = words[0] ?? "serve"
  if (flags.help) {
    process.stderr.write(usage())
    return 0
  }
  if (commands[command] === undefined) {
    const near = nearest(command, Object.keys(commands))
    process.stderr.write(`unknown command "${command}"${near === undefined ? "" : `; did you mean "${near}"?`}\n${usage()}`)
    return 2
  }
  if (flags.version || env["OLLA_SHOW_VERSION"] === "true" || command === "version") {
    process.stderr.write(banner() + versionDetails())
    return 0
  }
  if (flags.printDefaultConfig) {
    process.stdout.write(readFileSync(join(import.meta.dirname, "..", "config", "config.yaml"), "utf8"))
    return 0
  }
  if (flags.validateConfig || command === "validate" || command === "config") {
    const { validateCommand, validateReport, showCommand } = await import("./configCommands.ts")
    const options = { configFile: command === "validate" ? (words[1] ?? flags.config) : flags.config, env, cwd: process.cwd() }
    if (command === "config") {
      if (words[1] !== "show") {
        process.stderr.write(`config wants a word: config show\n${usage()}`)
        return 2
      }
      return showCommand(options, (text) => process.stdout.write(text))
    }
    if (flags.validateConfig) {
      process.stderr.write(banner())
      return validateReport(options, (text) => process.stdout.write(text))
    }
    return validateCommand(options, flags.json, (text) => process.stdout.write(text))
  }
  if (command === "healthcheck") {
    const { healthcheck } = await import("./configCommands.ts")
    return healthcheck({ configFile: flags.config, env, cwd: process.cwd() })
  }
  process.stderr.write(banner())
  const daemon = await import("./daemon.ts")
  const options = { configFile: flags.config, env, profile: flags.profile || env["OLLA_ENABLE_PROFILER"] === "true" }
  return command === "demo" ? daemon.demo(options) : daemon.serve(options)
}
