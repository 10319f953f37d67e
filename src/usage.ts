/** What the command line knows, and how it tells of it. */

export interface Command {
  readonly help: string
  /** Words that follow it, as usage shows them. */
  readonly words?: string
}

export const commands: Readonly<Record<string, Command>> = {
  serve: { help: "serve requests; what happens without a command" },
  server: { help: "the same as serve" },
  validate: { words: "[file]", help: "tell every mistake in a configuration; --json for machines. Exit 0: none, 1: some, 2: wrong usage" },
  config: {
    words: "show|init",
    help: "show: the configuration in force and where each value comes from, --json for machines; init: write the first file"
  },
  routes: { help: "list every route that a daemon with this configuration answers" },
  demo: { help: "serve a simulated fleet: nothing else needed to try Olla; --story plays what Olla does about trouble" },
  status: { help: "how the running daemon's endpoints are: state and why, in flight, models, p95" },
  drain: { words: "<endpoint>", help: "give an endpoint no further request; what runs there ends" },
  resume: { words: "<endpoint>", help: "take a drained endpoint back into service" },
  probe: { words: "[endpoint]", help: "check an endpoint, or all, and read its models now" },
  reload: { help: "let the running daemon go over to what its files say now" },
  keys: {
    words: "add|list|revoke|rotate|check [name]",
    help: "keys of clients, in access.keys_file: add NAME shows a new key once; list; revoke NAME; rotate NAME; check, with a key on standard input"
  },
  healthcheck: { help: "ask the local daemon whether it is alive; exit 0 or 1, for containers" },
  version: { help: "print what this build is" },
  help: { words: "[command]", help: "show this, or what one command takes" }
}

export interface Flag {
  readonly help: string
  readonly value?: string
  readonly short?: string
  /** Only these know it. */
  readonly commands?: ReadonlyArray<string>
}

export const flags = {
  config: { short: "c", value: "PATH", help: "use exactly this configuration file" },
  backend: {
    value: "URL[,TYPE]",
    help: "serve this backend too, without a file or beside one; may be repeated, TYPE is auto when unsaid",
    commands: ["serve", "server", "validate", "config"]
  },
  "validate-config": { help: "check configuration, models.yaml and profiles, print a report; exit 0 or 1" },
  "print-default-config": { help: "print the shipped configuration" },
  json: {
    help: "write findings, values, answers or figures as JSON",
    commands: ["validate", "config", "status", "drain", "resume", "probe", "reload", "keys"]
  },
  url: {
    value: "URL",
    help: "the running daemon, where it is not the configuration's; its token is OLLA_TOKEN or the configuration's",
    commands: ["status", "drain", "resume", "probe", "reload"]
  },
  for: { value: "TIME", help: "resume by itself after this time, such as 10m", commands: ["drain"] },
  wait: { help: "return when nothing runs there any more", commands: ["drain"] },
  force: { help: "even the last endpoint of a model", commands: ["drain"] },
  reason: { value: "TEXT", help: "why, for the daemon's log", commands: ["drain", "resume"] },
  watch: { help: "show it again every two seconds", commands: ["status"] },
  story: { value: "NAME", help: "failover, overload, cold or cache: clients that never stop, and what Olla does", commands: ["demo"] },
  file: { value: "PATH", help: "this keys file, where it is not the configuration's", commands: ["keys"] },
  models: { value: "GLOB,..", help: "add: models that may be used, such as qwen3*", commands: ["keys"] },
  "exclude-models": { value: "GLOB,..", help: "add: models that may not", commands: ["keys"] },
  endpoints: { value: "GLOB,..", help: "add: endpoints that may be used", commands: ["keys"] },
  rpm: { value: "N", help: "add: requests a minute", commands: ["keys"] },
  tpm: { value: "N", help: "add: tokens a minute, cached ones not counted", commands: ["keys"] },
  concurrent: { value: "N", help: "add: requests at a time", commands: ["keys"] },
  class: { value: "CLASS", help: "add: highest class of the queue: high, normal or low", commands: ["keys"] },
  group: { value: "NAME", help: "add: group whose limits it shares", commands: ["keys"] },
  expires: { value: "TIME", help: "add: when it ends: 30d, or a date", commands: ["keys"] },
  note: { value: "TEXT", help: "add: for people", commands: ["keys"] },
  import: { help: "add: take a key of your own, from standard input", commands: ["keys"] },
  now: { help: "revoke: end what runs with it too", commands: ["keys"] },
  purge: { help: "revoke: take the entry out of the file", commands: ["keys"] },
  grace: { value: "TIME", help: "rotate: let the old key go on for so long", commands: ["keys"] },
  version: { help: "print what this build is" },
  profile: { help: "start the profiling server on localhost:19841" },
  help: { short: "h", help: "the same as help; behind a command, what that takes" }
} as const satisfies Readonly<Record<string, Flag>>

export type FlagName = keyof typeof flags

export const flagOf = (name: string): FlagName | undefined => {
  if (Object.hasOwn(flags, name)) return name as FlagName
  return (Object.keys(flags) as ReadonlyArray<FlagName>).find((each) => (flags[each] as Flag).short === name)
}

const argumentOf = (flag: Flag): string => (flag.value === undefined ? "" : ` ${flag.value}`)

const headOf = (name: string): string => {
  const words = commands[name]?.words
  return words === undefined ? name : `${name} ${words}`
}

const entries = Object.entries(flags) as ReadonlyArray<[FlagName, Flag]>

/** What reads no configuration of a user. */
const configless: ReadonlySet<string> = new Set(["demo", "version", "help"])

/** Those of one command; `serve` has all that belong to nobody. */
const flagsOf = (command: string): ReadonlyArray<[FlagName, Flag]> =>
  entries.filter(([name, flag]) =>
    flag.commands === undefined
      ? command === "serve" || command === "server" || (name === "config" && !configless.has(command))
      : flag.commands.includes(command)
  )

const listed = (of: ReadonlyArray<[FlagName, Flag]>, isWhole: boolean): string =>
  of
    .map(([name, flag]) => {
      const left = `${flag.short === undefined ? "    " : `-${flag.short}, `}--${name}${argumentOf(flag)}`
      const whose = isWhole && flag.commands !== undefined && flag.commands.length < 3 ? `${flag.commands.join(", ")}: ` : ""
      return `  ${left.padEnd(27)} ${whose}${flag.help}`
    })
    .join("\n")

const configuration = `Configuration: --config, or OLLA_CONFIG_FILE, or the first of config/config.local.yaml, config/config.yaml, config.yaml,
default.yaml; without any, what serves on this machine's well-known ports. Variables OLLA_* override it; docs/configuration.md names every key.
`

/** Of everything, or of one command. */
export const usage = (command?: string): string => {
  const known = command === undefined || !Object.hasOwn(commands, command) ? undefined : commands[command]
  if (command !== undefined && known !== undefined) {
    const of = flagsOf(command)
    return `Usage: olla ${headOf(command)}${of.length === 0 ? "" : " [flags]"}

  ${known.help}
${of.length === 0 ? "" : `\nFlags:\n${listed(of, false)}\n`}`
  }
  return `Usage: olla [command] [flags]

Commands:
${Object.entries(commands)
  .map(([name, { help }]) => `  ${headOf(name).padEnd(18)} ${help}`)
  .join("\n")}

Flags, anywhere on the line:
${listed(entries, true)}

${configuration}`
}

/** Behind a mistake: short, so that the mistake stays in sight. */
export const shortUsage = (command: string | undefined): string => {
  const known = command !== undefined && Object.hasOwn(commands, command) ? command : undefined
  const of = flagsOf(known ?? "serve").map(([name, flag]) => `[--${name}${argumentOf(flag)}]`)
  return `Usage: olla ${[known === undefined ? "[command]" : headOf(known), ...of].join(" ")}
"olla help${known === undefined ? "" : ` ${known}`}" says what they do.
`
}
