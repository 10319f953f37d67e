/** What every start says about itself on standard error. */
import { isColoured } from "./telemetry/LogDecision.ts"
import { build } from "./version.ts"

/** Under the name: where the project is found, or what it is. */
const subtitle = build.homepage === "" ? "one address for your inference servers" : build.homepage.replace(/^https?:\/\//, "")

/** 70 columns, for logs and pipes. */
const plainBanner = (): string => {
  const line = `+${"-".repeat(68)}+`
  const centred = (text: string): string => {
    const left = Math.floor((68 - text.length) / 2)
    return `|${" ".repeat(left)}${text}${" ".repeat(68 - text.length - left)}|`
  }
  return `${line}\n${centred(`${build.name} ${build.version}`)}\n${centred(subtitle)}\n${line}\n`
}

const letters = [
  " ██████  ██      ██       █████ ",
  "██    ██ ██      ██      ██   ██",
  "██    ██ ██      ██      ███████",
  "██    ██ ██      ██      ██   ██",
  " ██████  ███████ ███████ ██   ██"
]

const llama = [" ,  ,", " (o_o)", "  | |____", "  |      |", "  ||--||"]

const columns = 53

/** A version that is too long for the box is cut at its first hyphen and marked `-dev`. */
const fitted = (version: string, room: number): string => (version.length <= room ? version : `${version.split("-")[0]}-dev`)

/** 55 columns, with the homepage as a link. */
const colourBanner = (): string => {
  const paint = (code: string, text: string) => `\u001b[${code}m${text}\u001b[0m`
  const row = (text: string, width: number) => `${paint("36", "│")}${text}${" ".repeat(Math.max(0, columns - width))}${paint("36", "│")}`
  const version = fitted(build.version, columns - subtitle.length - 5)
  const link = build.homepage === "" ? subtitle : `\u001b]8;;${build.homepage}\u001b\\${subtitle}\u001b]8;;\u001b\\`
  return [
    paint("36", `╭${"─".repeat(columns)}╮`),
    ...letters.map((letter, i) =>
      row(`  ${paint("1;35", letter)}   ${paint("33", llama[i] ?? "")}`, 5 + letter.length + (llama[i] ?? "").length)
    ),
    row(`  ${paint("34", link)}   ${paint("32", version)}`, 5 + subtitle.length + version.length),
    paint("36", `╰${"─".repeat(columns)}╯`),
    ""
  ].join("\n")
}

export const banner = (env: Readonly<Record<string, string | undefined>>, isTerminal: boolean): string =>
  isColoured(env, isTerminal) ? colourBanner() : plainBanner()

/** The lines of `--version` after the banner. */
export const versionDetails = (): string =>
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
