import { main } from "../../src/cli.ts"

/** A command line as a pipe sees it: its exit code, and what it said where. */
export const run = async (args: ReadonlyArray<string>, env: Record<string, string> = {}) => {
  let [out, err] = ["", ""]
  const code = await main(args, env, {
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    isTerminal: false
  })
  return { code, out, err }
}
