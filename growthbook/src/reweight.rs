//! Changing the split of a running experiment while moving as few visitors as possible.
//!
//! New weights alone move the bounds between all variations. These ranges move exactly as many visitors as the change itself
//! needs: what a variation gains, and no more. It still biases the results of visitors who saw two variations; a new phase with a new
//! seed is the clean way.

/// Ranges are handed out in steps of one bucket of hash version 2.
const BUCKETS: u32 = 10_000;

/// One range and the variation that gets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Index of the variation.
    pub variation: usize,
    /// Closed below, open above.
    pub range: super::Fractions,
}

/// The outcome of [`reweight`].
#[derive(Debug, Clone, PartialEq)]
pub struct Reweighted {
    /// Sorted, without overlaps. A variation may get several ranges. The format has one range a variation: further ones are written by listing
    /// the variation again, with the same `meta` key.
    pub pieces: Vec<Piece>,
    /// The share of visitors who change from one variation to another.
    pub moved: f64,
}

/// New ranges for new shares of all visitors (`shares[i]` for variation `i`; a sum below 1 leaves visitors out of the experiment).
///
/// Only as many leave a variation as its smaller share can't hold: to a growing variation, or out of the experiment if the sum of shares shrinks. Nobody else
/// changes. A variation that grows into free room moves nobody.
/// Shares are rounded to whole buckets of hash version 2. `ranges` may overlap: as in the evaluation, the first one counts.
///
/// Returns `None` where the numbers make no split: different lengths, a share that isn't from 0 to 1, a sum above 1.
#[must_use]
pub fn reweight(ranges: &[super::Fractions], shares: &[f64]) -> Option<Reweighted> {
    if ranges.len() != shares.len() {
        return None;
    }
    let pieces = ranges.iter().enumerate().map(|(variation, range)| Piece { variation, range: *range });
    reweight_pieces(&pieces.collect::<Vec<_>>(), shares)
}

/// The same for variations that have several ranges already, or none: `current` is what an earlier [`reweight`] gave.
///
/// Returns `None` where [`reweight`] does, and where a piece is of a variation that has no share.
#[must_use]
pub fn reweight_pieces(current: &[Piece], shares: &[f64]) -> Option<Reweighted> {
    if !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
        return None;
    }
    let targets = whole_buckets(shares)?;
    let mut owners = owners(current);
    let mut excess: Vec<i64> = targets.iter().map(|target| -i64::from(*target)).collect();
    for owner in owners.iter().flatten() {
        *excess.get_mut(*owner)? += 1;
    }
    let before = owners.clone();
    release(&mut owners, &mut excess);
    claim(&mut owners, &mut excess);
    let moved = before.iter().zip(&owners).filter(|(a, b)| a.is_some() && b.is_some() && a != b).count();
    Some(Reweighted { pieces: pieces(&owners), moved: f64::from(u32::try_from(moved).ok()?) / f64::from(BUCKETS) })
}

/// Shares in whole buckets whose sum is that of the shares: cumulative bounds are rounded, not single shares.
fn whole_buckets(shares: &[f64]) -> Option<Vec<u32>> {
    let mut sum = 0.0;
    let mut last = 0;
    let mut targets = Vec::with_capacity(shares.len());
    for share in shares {
        sum += share;
        let bound = (sum * f64::from(BUCKETS)).round();
        if bound > f64::from(BUCKETS) {
            return None;
        }
        // From 0 to 10,000 by the checks above.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bound = bound as u32;
        targets.push(bound - last);
        last = bound;
    }
    Some(targets)
}

/// The variation of each bucket.
fn owners(pieces: &[Piece]) -> Vec<Option<usize>> {
    let owner = |bucket: u32| {
        let n = f64::from(bucket) / f64::from(BUCKETS);
        pieces.iter().find(|piece| super::in_range(n, piece.range)).map(|piece| piece.variation)
    };
    (0..BUCKETS).map(owner).collect()
}

/// Takes buckets away from variations that have too many: at the lower end if the neighbour there is to grow, so that its range
/// stays in one piece, else at the upper end.
fn release(owners: &mut [Option<usize>], excess: &mut [i64]) {
    let grows = |owner: Option<usize>, excess: &[i64]| {
        owner.is_none_or(|owner| excess.get(owner).is_some_and(|excess| *excess < 0))
    };
    let mut below = None;
    let mut releasing = false;
    for owner in owners.iter_mut() {
        let current = *owner;
        releasing = if below == current { releasing } else { below.is_some() && grows(below, excess) };
        below = current;
        if let Some(count) = current.and_then(|owner| excess.get_mut(owner))
            && releasing
            && *count > 0
        {
            *count -= 1;
            *owner = None;
        }
    }
    for owner in owners.iter_mut().rev() {
        if let Some(count) = owner.and_then(|owner| excess.get_mut(owner))
            && *count > 0
        {
            *count -= 1;
            *owner = None;
        }
    }
}

/// Gives free buckets to variations that have too few, preferring the one just below, then the one just above.
fn claim(owners: &mut [Option<usize>], excess: &mut [i64]) {
    fn take(owner: &mut Option<usize>, by: usize, excess: &mut [i64]) -> bool {
        match excess.get_mut(by) {
            Some(count) if owner.is_none() && *count < 0 => {
                *count += 1;
                *owner = Some(by);
                true
            }
            _ => false,
        }
    }
    let mut below = None;
    for owner in owners.iter_mut() {
        if let Some(by) = below {
            take(owner, by, excess);
        }
        below = *owner;
    }
    let mut above = None;
    for owner in owners.iter_mut().rev() {
        if let Some(by) = above {
            take(owner, by, excess);
        }
        above = *owner;
    }
    for owner in owners.iter_mut().filter(|owner| owner.is_none()) {
        let _ = (0..excess.len()).any(|by| take(owner, by, excess));
    }
}

/// Neighbouring buckets of one variation become one range.
fn pieces(owners: &[Option<usize>]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let fraction = |bucket: u32| f64::from(bucket) / f64::from(BUCKETS);
    let mut below = None;
    for (bucket, owner) in (0..BUCKETS).zip(owners) {
        if let Some(variation) = *owner {
            match pieces.last_mut() {
                Some(piece) if below == *owner => piece.range[1] = fraction(bucket + 1),
                _ => pieces.push(Piece { variation, range: [fraction(bucket), fraction(bucket + 1)] }),
            }
        }
        below = *owner;
    }
    pieces
}
