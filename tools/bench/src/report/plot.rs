//! A plot: axes with a scale each, and what is drawn between them.

use maud::{Markup, html};

/// How values lie along an axis.
#[derive(Clone, Copy)]
pub enum Scale {
    /// Equal distances for equal differences, from zero.
    Linear,
    /// Equal distances for equal ratios.
    Logarithmic,
}

/// One axis: its scale, the range that it shows, and how it writes a value.
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    label: &'static str,
    write: fn(f64) -> String,
}

impl Axis {
    /// An axis that shows all of `values`, which a logarithmic one needs positive.
    pub fn over(
        scale: Scale,
        values: impl Iterator<Item = f64>,
        label: &'static str,
        write: fn(f64) -> String,
    ) -> Self {
        let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = match scale {
            Scale::Linear => (0.0, if high > 0.0 { high * 1.05 } else { 1.0 }),
            Scale::Logarithmic => (low / 1.1, high * 1.1),
        };
        Self { scale, low, high, label, write }
    }

    /// Where a value lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    /// Round values to write along the axis.
    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let rough = (self.high - self.low) / 5.0;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
                let step = step.unwrap_or(rough);
                (0..).map(|index| f64::from(index) * step).take_while(|value| *value <= self.high).collect()
            }
            Scale::Logarithmic => {
                let decades = (self.high / self.low).log10();
                let factors: &[f64] = match decades {
                    ..0.6 => &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0],
                    ..3.0 => &[1.0, 2.0, 5.0],
                    _ => &[1.0],
                };
                let first = self.low.log10().floor() as i32;
                let exponents = first..=self.high.log10().ceil() as i32;
                let all =
                    exponents.flat_map(|exponent| factors.iter().map(move |factor| factor * 10_f64.powi(exponent)));
                all.filter(|value| (self.low..=self.high).contains(value)).collect()
            }
        }
    }
}

/// The space for a plot in pixels, and its axes.
pub struct Plot {
    /// What stands above it.
    pub title: String,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// Room for labels on the left.
    pub left: f64,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis; none where what is drawn stands in lines.
    pub y: Option<Axis>,
}

const TOP: f64 = 30.0;
const BOTTOM: f64 = 42.0;
const RIGHT: f64 = 18.0;

impl Plot {
    /// The horizontal place of a value.
    pub fn at_x(&self, value: f64) -> f64 {
        self.left + self.x.place(value) * (self.width - self.left - RIGHT)
    }

    /// The vertical place of a value.
    pub fn at_y(&self, value: f64) -> f64 {
        let place = self.y.as_ref().map_or(0.0, |axis| axis.place(value));
        TOP + (1.0 - place) * (self.height - TOP - BOTTOM)
    }

    /// A line through points, in the colour of a class.
    pub fn line(&self, class: &str, name: &str, points: &[(f64, f64)]) -> Markup {
        let written: Vec<String> =
            points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.at_x(*x), self.at_y(*y))).collect();
        html! { polyline.series.(class) points=(written.join(" ")) { title { (name) } } }
    }

    /// The plot with its axes around what was drawn.
    pub fn frame(&self, drawn: &[Markup]) -> Markup {
        let (bottom, right) = (self.height - BOTTOM, self.width - RIGHT);
        html! {
            svg viewBox=(format!("0 0 {} {}", self.width, self.height)) width=(self.width) height=(self.height) role="img" {
                text.title x="12" y="19" { (self.title) }
                @for tick in self.x.ticks() {
                    @let x = px(self.at_x(tick));
                    line.grid x1=(x) x2=(x) y1=(TOP) y2=(px(bottom)) {}
                    text x=(x) y=(px(bottom + 16.0)) text-anchor="middle" { ((self.x.write)(tick)) }
                }
                text x=(px(right)) y=(px(self.height - 8.0)) text-anchor="end" { (self.x.label) }
                @if let Some(axis) = &self.y {
                    @for tick in axis.ticks() {
                        @let y = self.at_y(tick);
                        line.grid x1=(px(self.left)) x2=(px(right)) y1=(px(y)) y2=(px(y)) {}
                        text x=(px(self.left - 6.0)) y=(px(y + 4.0)) text-anchor="end" { ((axis.write)(tick)) }
                    }
                    text x=(px(self.left)) y=(px(self.height - 8.0)) { "↑ " (axis.label) }
                }
                @for part in drawn { (part) }
            }
        }
    }
}

/// A point at a place in pixels, with a text that shows under the pointer.
pub fn dot(class: &str, told: &str, x: f64, y: f64) -> Markup {
    html! { circle.dot.(class) cx=(px(x)) cy=(px(y)) r="4" { title { (told) } } }
}

/// A length in pixels, without digits that nobody sees.
pub fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_scales_put_their_ends_and_ticks_inside() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for values in [[1.0, 1.3], [0.02, 40.0], [5.0, 90_000.0]] {
                let axis = Axis::over(scale, values.into_iter(), "", |value| value.to_string());
                assert!(values.iter().all(|value| (0.0..=1.0).contains(&axis.place(*value))));
                let ticks = axis.ticks();
                assert!(ticks.len() >= 2 && ticks.is_sorted(), "{ticks:?}");
                assert!(ticks.iter().all(|tick| (0.0..=1.0).contains(&axis.place(*tick))), "{ticks:?}");
            }
        }
    }
}
