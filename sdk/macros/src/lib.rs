//! The attributes of `gristmill-sdk`. Each is explained where the SDK re-exports it; here they are only taken apart.

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, ItemStruct, parse_macro_input};

mod way;
mod attribute;
mod operator;

/// Makes a struct of parts an operator and exports it from the module. See the documentation of `gristmill_sdk`.
#[proc_macro_attribute]
pub fn operator(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemStruct);
    operator::expand(&arguments.into(), item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct the parameters of an operator: read from JSON, described by a JSON Schema, unknown fields refused.
#[proc_macro_attribute]
pub fn parameters(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    if let Err(error) = nothing(arguments, "parameters") {
        return error;
    }
    quote! {
        #[derive(::core::fmt::Debug, ::gristmill_sdk::serde::Deserialize, ::gristmill_sdk::schemars::JsonSchema)]
        #[serde(crate = "::gristmill_sdk::serde", deny_unknown_fields)]
        #[schemars(crate = "::gristmill_sdk::schemars")]
        #item
    }
    .into()
}

/// Makes a type one that can be read from an event, written to an output, or kept in state.
#[proc_macro_attribute]
pub fn data(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    if let Err(error) = nothing(arguments, "data") {
        return error;
    }
    quote! {
        #[derive(
            ::core::fmt::Debug,
            ::core::clone::Clone,
            ::core::cmp::PartialEq,
            ::gristmill_sdk::serde::Serialize,
            ::gristmill_sdk::serde::Deserialize,
        )]
        #[serde(crate = "::gristmill_sdk::serde")]
        #item
    }
    .into()
}

/// Complains about arguments of an attribute that takes none.
fn nothing(arguments: TokenStream, attribute: &str) -> Result<(), TokenStream> {
    if arguments.is_empty() {
        return Ok(());
    }
    let message = format!("`#[{attribute}]` takes no arguments");
    let span = proc_macro2::TokenStream::from(arguments);
    Err(syn::Error::new_spanned(span, message).into_compile_error().into())
}
