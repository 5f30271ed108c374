//! Random numbers that are the same on every machine (xorshift128+, seeded by splitmix64).

#[derive(Clone, Debug)]
pub(super) struct Rng(u64, u64);

impl Rng {
    /// The sequence of a seed and a topic; topics of one seed are independent.
    pub(super) fn new(seed: u64, topic: u64) -> Self {
        let mut z = seed ^ topic.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = || {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut x = z;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        let first = next();
        Self(first, next() | 1)
    }

    pub(super) fn bits(&mut self) -> u64 {
        let (mut s1, s0) = (self.0, self.1);
        let result = s0.wrapping_add(s1);
        self.0 = s0;
        s1 ^= s1 << 23;
        self.1 = s1 ^ s0 ^ (s1 >> 18) ^ (s0 >> 5);
        result
    }

    /// 0 to 1, without 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// 0 to `n`, without `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// True so often.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// One of the values, each as often as its weight says.
    pub(super) fn weighted(&mut self, of: &[(u16, f32)]) -> u16 {
        let sum: f32 = of.iter().map(|(_, weight)| weight).sum();
        let mut left = self.unit() as f32 * sum;
        for (value, weight) in of {
            left -= weight;
            if left <= 0.0 {
                return *value;
            }
        }
        of[0].0
    }

    /// Normally distributed around 0 with deviation 1.
    pub(super) fn gauss(&mut self) -> f64 {
        let (a, b) = (self.unit().max(1e-12), self.unit());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}
