/** The token of `Authorization: Bearer`, taken out and compared. */
import { hash, timingSafeEqual } from "node:crypto"
import { headerOf } from "../exchange/RawHeaders.ts"

/** In a time that says nothing of how much of it is right. */
export const sameToken = (given: string, token: string): boolean =>
  timingSafeEqual(hash("sha256", given, "buffer"), hash("sha256", token, "buffer"))

/** What `Authorization: Bearer` has; `undefined`: nothing of the kind. */
export const bearerOf = (rawHeaders: ReadonlyArray<string>): string | undefined =>
  /^bearer +(\S+) *$/i.exec(headerOf(rawHeaders, "authorization") ?? "")?.[1]
