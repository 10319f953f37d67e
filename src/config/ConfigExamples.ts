/** How a key would be right, for whoever refuses it. */
import type { KeyInfo } from "./ConfigKey.ts"
import { exampleFor } from "./ScalarReading.ts"
import { allKeys } from "./SchemaTree.ts"

export const infos: ReadonlyMap<string, KeyInfo> = new Map(allKeys().map(({ path, info }) => [path, info]))

/** The shape of each kind. */
export const authExamples = {
  bearer: 'auth: {type: bearer, token: "${GPU_TOKEN}"}',
  api_key: 'auth: {type: api_key, key: "${GPU_KEY}"}',
  basic: 'auth: {type: basic, username: "${GPU_USER}", password: "${GPU_PASSWORD}"}'
} as const

/** A right value for the key of a finding; entries of a mapping or list have their key's. */
export const exampleAt = (path: string): string | undefined => {
  if (path.endsWith(".auth")) return authExamples.bearer
  const generic = path.replace(/\[\d+\](?=\.)/g, "[]")
  const known =
    infos.get(generic) === undefined
      ? [...infos.keys()].find((key) => /^[.[]/.test(generic.slice(key.length)) && generic.startsWith(key))
      : generic
  const info = known === undefined ? undefined : infos.get(known)
  return known === undefined || info === undefined ? undefined : exampleFor(info, known)
}

/** The same for a variable in a shell, where lists are separated by commas. */
export const variableExample = (variable: string, path: string): string | undefined => {
  const value = exampleAt(path)?.replace(/^[^:]*: /, "")
  return value === undefined ? undefined : `${variable}=${value.replace(/[[\]"]/g, "").replace(/, /g, ",")}`
}
