//! What can be broken on purpose, to see whether it is caught.

/// Each breaks one rule of the core, around it: the core itself is the real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A swap succeeds whatever the token.
    SwapsBlindly,
    /// A swap that lost says that it has won, so that nothing is decided again.
    NeverLoses,
    /// A probe's lease runs for ever.
    LeasesNeverEnd,
    /// What becomes of a probe whose lease has run out is not looked at.
    ForgetsSlowClients,
    /// A worker reads neither the clock nor the record again.
    NeverSyncs,
    /// What was decided is told before the swap.
    TellsEarly,
    /// What was decided again after a lost race is not told.
    ForgetsAfterRaces,
    /// Bytes rot, and the record begins again.
    RecordRots,
}
