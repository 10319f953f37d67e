/** Lists and snapshots without probes and clocks. */
import { type AttributeRules, defaultRules } from "../../src/catalogue/AttributeRules.ts"
import type { InventoryEntry } from "../../src/catalogue/Inventory.ts"
import { Inventory } from "../../src/catalogue/Inventory.ts"
import type { UnifiedModel } from "../../src/catalogue/ModelOffer.ts"
import { NameMap } from "../../src/catalogue/NameMap.ts"
import { NameReading } from "../../src/catalogue/NameReading.ts"
import type { Snapshot } from "../../src/catalogue/Snapshot.ts"
import { type BuildInput, buildSnapshot } from "../../src/catalogue/SnapshotBuilding.ts"
import { unify } from "../../src/catalogue/Unification.ts"
import type { Fleet, FleetEvent } from "../../src/endpoint/Fleet.ts"
import type { ListedModel, ListedModelDetails } from "../../src/profile/ListedModel.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"
import { type FakeEndpoint, type FakeFields, FakeFleet } from "../balancing/fakes.ts"

export const profiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })

export const listed = (name: string, more: Partial<ListedModel> = {}, details?: ListedModelDetails): ListedModel => ({
  name,
  lastSeen: 1_000_000,
  ...more,
  ...(details === undefined ? {} : { details })
})

export type ListedEndpoint = FakeEndpoint

/** Endpoints with their kinds and lists; a model may be given by its name alone. */
export class ListedFleet extends FakeFleet {
  with(name: string, type: string, models: ReadonlyArray<string | ListedModel>, fields: FakeFields = {}): ListedEndpoint {
    const endpoint = this.add(name, { type, ...fields }) as ListedEndpoint
    return Object.assign(endpoint, {
      profile: profiles.resolveType(type),
      isAuto: type === "" || type === "auto",
      models: models.map((model) => (typeof model === "string" ? listed(model) : model))
    })
  }

  get listings(): ReadonlyArray<InventoryEntry> {
    return this.endpoints
      .filter((endpoint) => endpoint.models.length > 0)
      .map((endpoint) => new Inventory(endpoint, endpoint.profile?.name ?? "openai-compatible", endpoint.models))
  }

  snapshot(options: Partial<BuildInput> = {}): Snapshot {
    return finish(buildSnapshot({ ...inputOf(this.listings), aliases: {}, unify: true, version: 1, ...options }))
  }

  unified(rules: AttributeRules = defaultRules): ReadonlyArray<UnifiedModel> {
    return finish(unify({ ...inputOf(this.listings), reading: new NameReading(rules) })).models
  }
}

/** Endpoints that announce what they list, as the real ones do. */
export class LiveFleet extends ListedFleet {
  readonly watchers = new Set<(event: FleetEvent) => void>()

  lists(endpoint: ListedEndpoint, models: ReadonlyArray<string | ListedModel>, at: number): void {
    const all = models.map((model) => (typeof model === "string" ? listed(model, { lastSeen: at }) : model))
    Object.assign(endpoint, { models: all, modelsSyncedAt: at })
    this.announce({ _tag: "ModelsChanged", endpoint })
  }

  announce(event: FleetEvent): void {
    for (const listener of this.watchers) listener(event)
  }

  get live(): Fleet["Service"] {
    return {
      ...this.service,
      onEvent: (listener) => {
        const off = this.service.onEvent(listener)
        this.watchers.add(listener)
        return () => {
          off()
          this.watchers.delete(listener)
        }
      }
    }
  }
}

const inputOf = (listings: ReadonlyArray<InventoryEntry>) => ({
  listings,
  reading: new NameReading(defaultRules),
  firstSeen: new NameMap<number>(),
  freshFor: 60_000
})

export const finish = <A>(steps: Generator<void, A>): A => {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}
