#!/usr/bin/perl
# Turns documentation files into clean prose: one paragraph a line, an empty line after each document.
#
#     find DIR -name '*.html' -print0 | LC_ALL=C sort -z | perl launch/prose.pl html > prose.txt
#
# Kinds: html (read by HTML::Parser) and pod (Perl's manual pages, read by Pod::Simple). Text of paragraphs, list
# items and definitions is taken; code blocks, tables, navigation and headings are left out. A paragraph stays if it
# begins and ends like a sentence, has at least 6 words, and is made of at least 80 % letters and spaces.
# It does not drop repeats and short documents: prepare-corpus does, when it joins all packages.
use strict;
use warnings;

my $document = '';    # paragraphs of this file that stay
my $text = '';        # of the paragraph that is open
my $inside = 0;       # in an element whose text is prose

sub paragraph_begin { ($text, $inside) = ('', 1) }

sub paragraph_end {
    return if !$inside;
    my $line = $text;
    ($text, $inside) = ('', 0);
    $line =~ tr/\x{b6}\x{200b}\x{2060}\x{feff}\x{ad}//d;    # marks of permanent links, invisible characters
    $line =~ s/[\s\x{a0}]+/ /g;
    $line =~ s/^ | $//g;
    return if $line !~ /^["'(\x{2018}\x{201c}]*[\p{Lu}0-9]/;
    return if $line !~ /[.!?]["')\x{2019}\x{201d}]*$/;
    return if ($line =~ tr/ //) < 5;
    return if ($line =~ tr/A-Za-z\x{c0}-\x{24f} //) < 0.8 * length $line;
    $document .= "$line\n";
}

sub html_reader {
    require HTML::Parser;
    my %prose = map { $_ => 1 } qw(p li dd);
    my $start = sub {
        my ($tag, $attributes) = @_;
        paragraph_end();
        # DocBook's paragraphs are divisions of class "para".
        paragraph_begin() if $prose{$tag} || ($attributes->{class} // '') eq 'para';
    };
    my $parser = HTML::Parser->new(
        api_version => 3,
        start_h => [ $start, 'tagname, attr' ],
        end_h => [ \&paragraph_end, '' ],
        text_h => [ sub { $text .= $_[0] if $inside }, 'dtext' ],
    );
    $parser->report_tags(qw(p li dd dt dl ul ol div section article aside blockquote body hr h1 h2 h3 h4 h5 h6));
    $parser->ignore_elements(qw(head script style nav pre table footer header form select button svg math sup));
    return sub {
        $parser->parse($_[0]);
        $parser->eof;
        paragraph_end();
    };
}

{
    package ProseFromPod;
    our @ISA;

    sub _handle_element_start {
        my ($self, $element) = @_;
        main::paragraph_begin() if $element eq 'Para' || $element eq 'item-text';
        $self->{skip}++ if $element eq 'X';
    }

    sub _handle_element_end {
        my ($self, $element) = @_;
        main::paragraph_end() if $element eq 'Para' || $element eq 'item-text';
        $self->{skip}-- if $element eq 'X';
    }

    sub _handle_text { $text .= $_[1] if $inside && !$_[0]{skip} }
}

sub pod_reader {
    require Pod::Simple;
    @ProseFromPod::ISA = ('Pod::Simple');
    return sub { ProseFromPod->new->parse_string_document($_[0]) };
}

my %readers = (html => \&html_reader, pod => \&pod_reader);
my $kind = shift @ARGV // '';
die "usage: prose.pl html|pod < names of files, a zero byte after each\n" if @ARGV || !$readers{$kind};
my $read = $readers{$kind}->();

binmode STDOUT, ':encoding(UTF-8)';
local $/ = "\0";
while (my $path = <STDIN>) {
    chomp $path;
    open my $file, '<:raw', $path or die "could not open \"$path\": $!\n";
    my $content = do { local $/; <$file> } // '';
    utf8::decode($content);    # a file that is not UTF-8 is read as Latin-1
    $document = '';
    $read->($content);
    print "$document\n" if $document ne '';
}
close STDOUT or die "could not write: $!\n";
