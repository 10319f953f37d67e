/** The system prompt that Codex is told to use, read once for each reading of the configuration. */
import type { Diagnostic } from "./Diagnostic.ts"
import { reasonOf } from "./FileReason.ts"
import type { OllaConfig } from "./OllaConfig.ts"

const path = "translators.responses.codex_instructions"

export interface CodexInstructions {
  /** Empty: none is told. */
  readonly text: string
  readonly diagnostics: ReadonlyArray<Diagnostic>
}

const wrong = (message: string): CodexInstructions => ({
  text: "",
  diagnostics: [{ severity: "error", path, message: `${path}: ${message}` }]
})

/** `readFile` throws as `node:fs` does. */
export const loadCodexInstructions = ({ translators }: OllaConfig, readFile: (path: string) => string): CodexInstructions => {
  const { codex_instructions: file } = translators.responses
  if (file === "") return { text: "", diagnostics: [] }
  try {
    const text = readFile(file)
    // Codex would work without any instructions.
    return text.trim() === ""
      ? wrong(`the file "${file}" is empty; write the instructions, or take the key out`)
      : { text, diagnostics: [] }
  } catch (cause) {
    return wrong(`the file "${file}" cannot be read: ${reasonOf(cause)}`)
  }
}
