/** What `npm pack` makes: a program that runs without this repository, its tests, and anything that it does not use. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, symlinkSync } from "node:fs"
import { builtinModules } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "..", "..")
const text = (path: string): string => readFileSync(join(root, path), "utf8")
const manifest = JSON.parse(text("package.json")) as {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
}

let folder: string
let files: ReadonlyArray<string>

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "olla-pack-"))
  // The build is there already: what `prepack` would do once more.
  execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: root, stdio: "ignore" })
  execFileSync("tar", ["xzf", join(folder, `olla-${manifest.version}.tgz`)], { cwd: folder })
  files = readdirSync(join(folder, "package"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, "package").length + 1))
  // As an installation puts them.
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
})

const olla = (...args: ReadonlyArray<string>): string =>
  execFileSync(process.execPath, [join(folder, "package", "dist", "main.js"), ...args], {
    cwd: folder,
    encoding: "utf8",
    env: { PATH: process.env["PATH"] ?? "" }
  })

describe("the package", () => {
  it("holds the program, its data and its documents, and no tests or sources", () => {
    expect([...new Set(files.map((file) => file.split("/")[0]))].sort()).toEqual(
      ["LICENSE", "README.md", "config", "dist", "docs", "examples", "package.json"].sort()
    )
    expect(files.filter((file) => /\.(?:map|tsbuildinfo|test\.js)$/.test(file))).toEqual([])
  })

  it("runs", () => {
    expect(olla("validate", "package/config/config.yaml")).toBe("package/config/config.yaml: nothing wrong\n")
    expect(olla("--print-default-config")).toBe(text("config/config.yaml"))
    expect(olla("--validate-config")).toContain("Result: PASS")
  })

  it("depends on what it imports, and on nothing else", () => {
    const imported = files
      .filter((file) => file.endsWith(".js"))
      .flatMap((file) =>
        [
          ...readFileSync(join(folder, "package", file), "utf8").matchAll(
            /(?:\bfrom|\bimport|\bimport\(|\(import\.meta\.url\)\()\s*"([^"]+)"/g
          )
        ].map(([, name = ""]) => name)
      )
      .filter((name) => !name.startsWith(".") && !name.startsWith("node:") && !builtinModules.includes(name))
      .map((name) => (name.startsWith("@") ? name.split("/").slice(0, 2).join("/") : (name.split("/")[0] ?? "")))
    // Not imported, but what the other packages of OpenTelemetry want beside them: pinned here.
    const wanted = Object.keys(manifest.dependencies).filter((name) => name !== "@opentelemetry/api")
    expect([...new Set(imported)].sort()).toEqual(wanted.sort())
  })

  it("brings nothing along that nobody asked for", () => {
    const { packages } = JSON.parse(text("package-lock.json")) as {
      readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>
    }
    const installed = Object.entries(packages).flatMap(([path, { dev, optional }]) =>
      path === "" || dev === true || optional === true ? [] : [path.replace("node_modules/", "")]
    )
    // `effect` itself brings no client of any store: that would be a package more here.
    // OpenTelemetry's packages bring one another.
    const own = (names: ReadonlyArray<string>) => names.filter((name) => !name.startsWith("@opentelemetry/")).sort()
    expect(own(installed)).toEqual(own(Object.keys(manifest.dependencies)))
  })

  it("names nobody's registry", () => {
    expect(text("package-lock.json")).not.toMatch(/"resolved"|https?:\/\/(?!opencollective\.com|github\.com|[\w.-]*\.(?:com|org|me|io)\b)/)
    expect(text(".npmrc")).not.toMatch(/registry\s*=|\/\//)
  })
})
