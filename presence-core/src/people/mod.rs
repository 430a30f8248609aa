//! People: profiles, rosters, invitations, watching. Empty until they are durable.
