//! Who a user is to others: name, colour, picture.

use std::fmt;
use std::sync::Arc;

use crate::digest::fnv1a;
use crate::id::UserId;
use crate::wire::UserClaim;

/// A colour as `#rgb` or `#rrggbb`, in lower case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Color {
    text: [u8; 7],
    len: u8,
}

/// What [`Color::parse`] wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a colour such as #1f6feb or #fb0")]
pub struct ColorError;

/// Colours on which white text reads well (WCAG 2.1 contrast of 4.5 and more), apart from each other in hue.
const PALETTE: [&str; 24] = [
    "#c0392b", "#b03a63", "#a2338f", "#8e44ad", "#6c4fc4", "#4a5bd0", "#2b66c9", "#1f6f9f", "#17727d",
    "#12755f", "#1e7a3c", "#4b7516", "#6f6a10", "#8a5d0a", "#a04e12", "#b5432a", "#7b4b3a", "#5d5a52",
    "#4f5d6b", "#3f6079", "#76448a", "#9c3d52", "#2e6b57", "#5b5ea6",
];

impl Color {
    /// Checks `text`.
    ///
    /// # Errors
    /// If it is no colour.
    pub fn parse(text: &str) -> Result<Self, ColorError> {
        let digits = text.strip_prefix('#').ok_or(ColorError)?;
        if !matches!(digits.len(), 3 | 6) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ColorError);
        }
        let mut color = Self { text: [0; 7], len: text.len() as u8 };
        color.text[..text.len()].copy_from_slice(text.as_bytes());
        color.text.make_ascii_lowercase();
        Ok(color)
    }

    /// The colour that the server gives a user: always the same one for the same id.
    pub fn of_user(user: &UserId) -> Self {
        let pick = fnv1a(user.as_str().bytes()) as usize % PALETTE.len();
        Self::parse(PALETTE[pick]).expect("the palette is made of colours")
    }

    /// The colour as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).expect("only ASCII is stored")
    }
}

impl fmt::Debug for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a browser can show what is at `address` without running anything or telling anybody in the clear.
pub fn is_safe_picture(address: &str) -> bool {
    address.starts_with("https:") || address.starts_with("data:image/")
}

/// A text that is copied by reference: of most users the name is the id.
pub type Text = arcstr::ArcStr;

/// What others see of a user. Shared by all rooms that the user is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Who.
    pub id: UserId,
    /// What others read.
    pub name: Text,
    /// The user's own choice, or [`Color::of_user`].
    pub color: Color,
    /// Address of a picture.
    pub avatar: Option<Text>,
    /// E-mail address.
    pub email: Option<Text>,
}

impl Profile {
    /// A user of whom nothing but the id is known.
    pub fn of_user(id: UserId) -> Self {
        let (name, color) = (id.text().clone(), Color::of_user(&id));
        Self { id, name, color, avatar: None, email: None }
    }

    /// The profile with what `claim` says put over it; the same one if that changes nothing.
    #[must_use]
    pub fn with(self: &Arc<Self>, claim: &UserClaim) -> Arc<Self> {
        let claimed = Self {
            id: self.id.clone(),
            name: claim.name.clone().unwrap_or_else(|| self.name.clone()),
            color: claim.color.unwrap_or(self.color),
            avatar: claim.avatar.clone().or_else(|| self.avatar.clone()),
            email: claim.email.clone().or_else(|| self.email.clone()),
        };
        if claimed == **self { Arc::clone(self) } else { Arc::new(claimed) }
    }

    /// The profile with what is different between two others put over it, and nothing else: of a user's connections each
    /// may have said something else.
    #[must_use]
    pub fn changed(self: &Arc<Self>, before: &Self, after: &Self) -> Arc<Self> {
        let mut changed = (**self).clone();
        if before.name != after.name {
            changed.name.clone_from(&after.name);
        }
        if before.color != after.color {
            changed.color = after.color;
        }
        if before.avatar != after.avatar {
            changed.avatar.clone_from(&after.avatar);
        }
        if before.email != after.email {
            changed.email.clone_from(&after.email);
        }
        if changed == **self { Arc::clone(self) } else { Arc::new(changed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.1 relative luminance.
    fn luminance(color: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn white_text_reads_well_on_every_colour_of_the_palette() {
        for color in PALETTE {
            let contrast = 1.05 / (luminance(color) + 0.05);
            assert!(contrast >= 4.5, "{color} has a contrast of {contrast:.2}");
        }
    }

    #[test]
    fn a_users_colour_is_the_same_every_time() {
        let ann = UserId::parse("ann").unwrap();
        assert_eq!(Color::of_user(&ann), Color::of_user(&ann));
        assert_eq!(Color::parse("#FB0").unwrap().as_str(), "#fb0");
        assert_eq!(Color::parse("red"), Err(ColorError));
        assert_eq!(Color::parse("#12345g"), Err(ColorError));
    }
}
