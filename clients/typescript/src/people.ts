// The package's entry for what lasts of people: profiles, rosters, invitations, documents and history.
export type { Document, DocumentSnapshot } from "./people/document.ts";
export {
  createPeople,
  type History,
  type Invite,
  type Member,
  type People,
  type Person,
  type ProfilePatch,
} from "./people/people.ts";
