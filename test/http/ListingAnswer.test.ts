import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { availabilityOf } from "../../src/catalogue/Listing.ts"
import { encodeDocument } from "../../src/http/documents/Encoding.ts"
import { listingDocuments } from "../../src/http/documents/ListingDocuments.ts"
import { listingBytes, listingText } from "../../src/http/ListingAnswer.ts"
import type { WrittenFormat } from "../../src/profile/ListingFormats.ts"
import { kindsThatList } from "../../src/profile/ListingNames.ts"
import { writeListing } from "../../src/profile/ListingWriting.ts"
import { finish, ListedFleet, listed, profiles } from "../catalogue/fakes.ts"

const formats = Object.keys(listingDocuments) as ReadonlyArray<WrittenFormat>

const fleetOf = (names: ReadonlyArray<string>) => {
  const fleet = new ListedFleet()
  fleet.with(
    "a",
    "ollama",
    names.filter((_, i) => i % 3 !== 0).map((name) => listed(name, { size: 5 }, { digest: name.slice(0, 1) }))
  )
  fleet.with(
    "b",
    "lm-studio",
    names.filter((_, i) => i % 3 !== 1)
  )
  return fleet.snapshot().unified
}

describe("a list written in pieces", () => {
  it.each(formats)("is what it is when written whole: %s", (format) => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), { maxLength: 150 }), (names) => {
        const models = fleetOf(names)
        const document = finish(
          writeListing(format, models, { select: (all) => all, kinds: kindsThatList(profiles, format), availabilityOf })
        )
        const text = Buffer.concat([...finish(listingText(format, document))]).toString()
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(encodeDocument(listingDocuments[format] as never, document as never))))
      }),
      { numRuns: 20 }
    )
  })

  it("never does much between two steps, however long it is", () => {
    const models = fleetOf(Array.from({ length: 3_000 }, (_, i) => `m${(i * 7919) % 3_000}`))
    let steps = 0
    const writing = listingBytes("unified", models, {
      kinds: new Set(),
      select: (all) => {
        expect(all.length).toBeLessThanOrEqual(16)
        return all
      }
    })
    for (;;) {
      const step = writing.next()
      if (step.done === true) {
        expect(JSON.parse(step.value.toString()).data).toHaveLength(models.length)
        break
      }
      steps++
    }
    expect(steps).toBeGreaterThan(models.length / 32)
  })
})
