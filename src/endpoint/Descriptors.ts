/** Whether a connection was not made for want of file descriptors, ours or the machine's: that says nothing about a backend. */
import { closeSync, openSync } from "node:fs"
import { devNull } from "node:os"

const shortages = new Set(["EMFILE", "ENFILE"])
const unknownNames = new Set(["ENOTFOUND", "EAI_AGAIN", "EAI_FAIL", "EAI_NODATA"])

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | null)?.code ?? ""

const areUsedUp = (): boolean => {
  try {
    closeSync(openSync(devNull, "r"))
    return false
  } catch (error) {
    return shortages.has(codeOf(error))
  }
}

/** `code`: the system's. Looking a name up takes descriptors too, and without any the system says that there is no such name. */
export const isForWantOfDescriptors = (code: string): boolean => shortages.has(code) || (unknownNames.has(code) && areUsedUp())
