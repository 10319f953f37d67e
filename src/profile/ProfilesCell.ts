/** The profiles that are in force, behind one face: a reload replaces all of them at once. */
import type { ProfileSet } from "./Profiles.ts"

export interface ProfilesCell {
  readonly profiles: ProfileSet
  readonly replace: (next: ProfileSet) => void
}

export const profilesCell = (first: ProfileSet): ProfilesCell => {
  let inForce = first
  return {
    profiles: {
      get all() {
        return inForce.all
      },
      get generic() {
        return inForce.generic
      },
      get typeNames() {
        return inForce.typeNames
      },
      get diagnostics() {
        return inForce.diagnostics
      },
      byName: (name) => inForce.byName(name),
      resolveType: (type) => inForce.resolveType(type),
      resolveSegment: (segment) => inForce.resolveSegment(segment),
      forPath: (path) => inForce.forPath(path)
    },
    replace: (next) => {
      inForce = next
    }
  }
}
