/** The command line by its table. */
import { describe, expect, it } from "vitest"
import { parseArguments } from "../../src/cli.ts"
import { commands, shortUsage, usage } from "../../src/usage.ts"

const read = (...args: ReadonlyArray<string>) => {
  const parsed = parseArguments(args)
  if (parsed._tag === "wrong") throw new Error(parsed.message)
  return { ...parsed.line, on: [...parsed.line.on].sort() }
}

describe("a command line", () => {
  it.each([
    [[], "serve", undefined, []],
    [["serve"], "serve", undefined, []],
    [["server"], "server", undefined, []],
    [["-c", "a.yaml"], "serve", "a.yaml", []],
    [["-c=a.yaml"], "serve", "a.yaml", []],
    [["--c", "a.yaml"], "serve", "a.yaml", []],
    [["-config", "a.yaml"], "serve", "a.yaml", []],
    [["--config=a=b.yaml"], "serve", "a=b.yaml", []],
    [["server", "--config", "a.yaml"], "server", "a.yaml", []],
    [["--config", "a.yaml", "server", "-c", "b.yaml"], "server", "b.yaml", []],
    [["-c", "b.yaml", "--config", "a.yaml"], "serve", "a.yaml", []],
    [["--config", "--version"], "serve", "--version", []],
    [["--config="], "serve", undefined, []],
    [["--version"], "serve", undefined, ["version"]],
    [["-version"], "serve", undefined, ["version"]],
    [["--version=true"], "serve", undefined, ["version"]],
    [["--version=T"], "serve", undefined, ["version"]],
    [["--version=0"], "serve", undefined, []],
    [["--version", "--version=false"], "serve", undefined, []],
    [["--validate-config", "-profile"], "serve", undefined, ["profile", "validate-config"]],
    [["--print-default-config"], "serve", undefined, ["print-default-config"]],
    [["validate", "x.yaml", "--json"], "validate", undefined, ["json"]],
    [["--json", "config", "show"], "config", undefined, ["json"]],
    [["-h"], "help", undefined, []],
    [["nonsense", "--help"], "help", undefined, []],
    [["drain", "--help"], "help", undefined, []],
    [["validate", "--", "--strange.yaml"], "validate", undefined, []]
  ])("%j is %s with %s and %j", (args, command, configFile, on) => {
    expect(read(...args)).toMatchObject({ command, configFile, on })
  })

  it("collects every --backend", () => {
    expect(read("--backend", "http://a:1", "serve", "--backend=http://b:2,vllm", "--backend=").backends).toEqual([
      "http://a:1",
      "http://b:2,vllm"
    ])
  })

  it("keeps the words after a command", () => {
    expect(read("validate", "x.yaml").words).toEqual(["x.yaml"])
    expect(read("validate", "--", "--strange.yaml").words).toEqual(["--strange.yaml"])
  })

  it.each([
    [["-x"], /^flag provided but not defined: -x/],
    [["--verison"], /^flag provided but not defined: -verison; did you mean --version\?/],
    [["--config"], /^flag needs an argument: -config/],
    [["-c"], /^flag needs an argument: -c/],
    [["--version=maybe"], /^invalid boolean value "maybe" for -version/],
    [["--version=yes"], /^invalid boolean value "yes" for -version/],
    [["-=x"], /^flag provided but not defined/],
    [["srve"], /^unknown command "srve"; the nearest one is "serve"/],
    [["Serve"], /^unknown command "Serve"; the nearest one is "serve"/],
    [["healthchek"], /the nearest one is "healthcheck"/],
    [["--config", "x.yaml", "vaildate"], /the nearest one is "validate"/],
    [["completely-different"], /^unknown command "completely-different"; "olla help" lists them$/],
    [["init"], /the nearest one is "config init"/],
    [["revoke", "kim"], /the nearest one is "keys revoke"/],
    [["help", "nope"], /^there is no command "nope"$/],
    [["help", "drian"], /^there is no command "drian"; did you mean "drain"\?/],
    [["toString"], /^unknown command "toString"/],
    [["-"], /^unknown command "-"/],
    [[""], /^unknown command ""/],
    [["serve", "serve"], /^"serve" does not take "serve"/],
    [["validate", "a", "b"], /^"validate" does not take "b"/],
    [["config"], /^"config" needs a word: there are "show" and "init"/],
    [["--backend"], /^flag needs an argument: -backend/],
    [["demo", "--backend", "http://a:1"], /^--backend belongs to "serve", "server", "validate" and "config", not to "demo"/],
    [["config", "shwo"], /^"config" needs a word: unknown "shwo"/],
    [["demo", "--story", "war"], /^there is no story "war": there are "failover", "overload", "cold" and "cache"/],
    [["serve", "--story", "cold"], /^--story belongs to "demo", not to "serve"/],
    [["demo", "--config", "x.yaml"], /^"demo" brings its own configuration/],
    [["serve", "--json"], /^--json belongs to "validate", "config", .* and "keys", not to "serve"/]
  ])("%j is refused", (args, message) => {
    expect(parseArguments(args)).toMatchObject({ _tag: "wrong", message: expect.stringMatching(message) })
  })

  it("is explained with every command and flag", () => {
    for (const word of ["serve", "server", "validate [file]", "config show|init", "demo", "healthcheck", "version"])
      expect(usage()).toContain(`  ${word} `)
    for (const flag of [
      "-c, --config PATH",
      "--validate-config",
      "--print-default-config",
      "--json",
      "--version",
      "--profile",
      "-h, --help"
    ])
      expect(usage()).toContain(flag)
  })
  it("is explained command by command, with the flags of that one", () => {
    for (const word of Object.keys(commands)) expect(usage(word)).toMatch(new RegExp(`^Usage: olla ${word}\\b`))
    expect(usage("drain")).toContain("--for TIME")
    expect(usage("drain")).not.toContain("--watch")
    expect(read("drain", "-h").words).toEqual(["drain"])
    expect(usage("nonsense")).toBe(usage())
  })

  it("is explained in two lines behind a mistake", () => {
    expect(shortUsage("drain")).toMatch(/^Usage: olla drain <endpoint> .*\[--for TIME\].*\n"olla help drain" says .*\n$/)
    for (const word of [undefined, "nonsense"])
      expect(shortUsage(word)).toMatch(/^Usage: olla \[command\] .*\[--config PATH\].*\n"olla help" says .*\n$/)
  })
})
